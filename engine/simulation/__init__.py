"""Searches without training: the real strategies over learning curves that are fitted to recorded ones."""
