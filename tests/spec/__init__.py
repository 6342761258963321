"""The specification, run block by block."""
