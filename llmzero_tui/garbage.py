"""When Python looks for garbage: not while the app starts, seldom later, and never in what the start has made."""

import gc

NEW_OBJECTS = 10_000
"""New objects after which some is looked for: ten thousand lines of a tree are made without a pause."""


def not_while_starting() -> None:
    """Look for none until `keep_what_is_loaded`: nearly nothing of what the start makes is garbage."""
    gc.disable()


def keep_what_is_loaded() -> None:
    """Once something is on screen: what the start has made stays for good, and looking for garbage in it would only
    hold up a key. Does nothing where the start is over or was not announced."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS)
        gc.enable()


def let_go() -> None:
    """At the end, or the interpreter would free nothing of what was kept, and DuckDB's bindings report leaks."""
    gc.unfreeze()
