"""Tapedeck: recorded markets, played back in exact order under a simulated clock."""

__version__ = "0.1.0"
