"""``python -m app.cli`` is ``tapedeck``."""

from app.cli import main

if __name__ == "__main__":  # a run's own process imports it under another name
    main()
