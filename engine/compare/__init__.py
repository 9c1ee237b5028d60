"""Strategies held against each other: a plan of ordinary runs, what each measured, and what follows from it."""
