"""Deadline: a call has to end by a point in time."""
