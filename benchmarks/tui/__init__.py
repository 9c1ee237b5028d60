"""How the terminal does, measured through a pseudo-terminal as a user sees it: `python -m benchmarks.tui`."""
