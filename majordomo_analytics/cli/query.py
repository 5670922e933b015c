def query() -> None:
    """Query."""
