"""Provider bytes to usage: no I/O, bounded memory, and bad bytes never raise.

A body passes through three stages: `encodings` undoes compression, `streams` cuts it into
JSON documents whatever its form, and one accumulator per API flavour merges them. Only
`asking` and `taking` change what passes: they ask for usage, and take it out again.
"""
