"""A run as text, for those without screens: `show`, `tail`, `--headless`, and what goes to stdout and stderr."""
