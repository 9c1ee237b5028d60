"""For whoever writes a strategy, advisor, executor or task of their own: what ours are tested with.

`strategies`, `advisors`, `executors` and `tasks` hold one suite each, a class of pytest tests: subclass it, give it the
fixture that it names, and pytest runs every promise of the interface on your part. `simulation` is a world of synthetic
learning curves, `trees` builds a tree by hand. Nothing of the engine imports this package; it alone needs pytest.
"""
