"""Bulkhead: let only so many calls run at once, and only so many wait."""
