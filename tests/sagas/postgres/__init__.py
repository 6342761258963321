"""PostgreSQL as a journal, on real servers."""
