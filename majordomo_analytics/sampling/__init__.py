"""Made-up traffic with a known truth: a small set that is shipped, and any size on demand.

Neither of the two roads: it writes a lake as the drain does, through the same row, the
same prices and the same append, and knows by plain addition what any question must answer.
"""
