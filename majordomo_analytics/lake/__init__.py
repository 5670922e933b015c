"""The lake: a Delta table of Parquet files that any Delta reader opens."""
