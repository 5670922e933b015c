"""The spool: a durable queue on the proxy's own disk, one SQLite file for each worker."""
