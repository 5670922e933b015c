"""A question as immutable data: measures, dimensions, filters and time; knows no engine."""
