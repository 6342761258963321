"""Fallback: answer a failure with the best that is left."""
