"""The B4AE protocol, version 2, from docs/PROTOCOL.md alone. Slow, plain and not for secrets that matter."""
