"""From spool to sinks, in a process of its own: price each request, append it once."""
