"""Composed behaviour: several strategies round one function."""
