"""A real client against a real, misbehaving HTTP service: what `recoup demo` runs.

It needs the extra `demo` (aiohttp, rich). Nothing here is imported by the rest of recoup.
"""
