"""Plans as lazy Polars frames: one engine without SQL."""
