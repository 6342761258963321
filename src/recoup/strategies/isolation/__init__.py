"""Isolation: plain functions run in worker processes, which can be killed and replaced."""
