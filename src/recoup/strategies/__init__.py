"""One room per strategy. Rooms never import one another."""
