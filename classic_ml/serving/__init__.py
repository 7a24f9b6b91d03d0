"""Online predictions: the process `predictions`, Ray Serve behind the gateway."""
