"""What did your LLM calls cost, for whom, and why did it rise?"""

__version__ = "0.1.0"
