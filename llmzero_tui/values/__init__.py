"""What the screens show: immutable values and pure functions over them, made by the feeds."""
