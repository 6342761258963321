"""Fuzzing: whatever is put in, only the documented errors come out (G1)."""
