"""Deterministic simulation: the real strategies under seeded schedules, faults and cancellations."""
