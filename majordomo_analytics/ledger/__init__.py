"""What a user holds: the requests, a way to ask about them, and the answers."""
