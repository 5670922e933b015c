"""Postgres, read where it is: our own tables, and those of other Majordomo gateways."""
