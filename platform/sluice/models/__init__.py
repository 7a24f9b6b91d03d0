"""Models that Sluice serves itself: fetching them, the engines' command lines, the embedding server."""
