"""Third parties, one file each. Nothing here is imported before its library is in use."""
