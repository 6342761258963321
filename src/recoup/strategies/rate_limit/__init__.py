"""Rate limit: let only so many calls begin in a time."""
