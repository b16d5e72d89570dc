"""A strategy file in a process of its own, played turn by turn with a server's session."""
