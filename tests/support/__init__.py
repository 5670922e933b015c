"""What tests share: a provider scripted to the byte, and a proxy that really runs."""
