"""``python -m app.cli`` is ``tapedeck``."""

from app.cli import main

main()
