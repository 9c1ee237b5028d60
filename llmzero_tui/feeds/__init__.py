"""Feeds: what a screen shows, read from a run's database in a worker thread. One module for each screen that has one.

A feed offers `read(view, quick=…)` and `close()`; the app's tick calls the one of the screen in front. DuckDB and Arrow
are imported when a reader is first needed, a feed when its screen is: not before the first paint.
"""
