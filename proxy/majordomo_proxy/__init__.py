"""The lean proxy that relays LLM calls and writes down what they used."""
