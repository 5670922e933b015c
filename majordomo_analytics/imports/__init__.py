"""Requests that somebody else wrote down, read into the lake, each once."""
