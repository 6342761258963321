"""What every strategy shares. Nothing here is public; the front door is `recoup`."""
