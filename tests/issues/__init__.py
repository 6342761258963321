"""What reviews and users found broken, pinned so that it stays mended."""
