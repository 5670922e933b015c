"""Local stand-ins for the providers, which know what every call cost.

They speak the providers' formats well enough for the official SDKs, work out usage from
the request body alone, and keep the truth of every answer at ``GET /truth``. They are for
the demo and the tests; what they say about a prompt is made up. Nothing here is shared
with capture or pricing, so the two can be held against each other.
"""
