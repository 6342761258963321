"""Retry: call again what failed, after a wait, a limited number of times."""
