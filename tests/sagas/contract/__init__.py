"""What every journal promises, one suite for all of them: run on SQLite and on a real PostgreSQL server."""
