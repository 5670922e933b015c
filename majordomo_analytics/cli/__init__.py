"""The command `mdm`: parse, call, print; no logic of its own."""
