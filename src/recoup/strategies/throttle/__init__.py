"""Adaptive throttle: hold calls back by chance, as far as the service turns them away anyway."""
