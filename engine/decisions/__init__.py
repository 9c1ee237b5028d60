"""A bank of decisions whose outcomes were measured, and how well an advisor decides on them."""
