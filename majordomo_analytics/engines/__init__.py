"""From a plan to rows: one module for each engine, their differences in tables."""
