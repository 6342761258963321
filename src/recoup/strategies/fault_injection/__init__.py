"""Fault injection: make calls fail, late or answer wrongly on purpose, while somebody has armed it."""
