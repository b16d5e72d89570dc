"""The command line: ``tapedeck serve | replay | import | doctor | catalog | watch``."""

from app.cli.root import cli, main

__all__ = ["cli", "main"]
