"""Durable sagas."""
