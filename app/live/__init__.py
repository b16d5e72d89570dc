"""A run behind a live feed: the stream of a running server, and the engine that it drives."""
