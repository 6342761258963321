"""Durable sagas: what was done is undone, also when the process dies in the middle."""
