"""SQL from a plan; the one home of sqlglot. Dialects differ by a table, not by branches."""
