"""What waiting for a session or a run shows, for both clients."""

from __future__ import annotations

from app.client.answers import Progress
from app.client.run_answers import RunDetail
from app.progress import Tell

RUNS = ("STARTING", "RUNNING", "STOPPING")
LOOK_S = 0.25


def tell_progress(progress: Progress | None, tell: Tell) -> None:
    """How far it is, in days and items."""
    if progress is not None:
        days = f"{progress.days_done}/{progress.days_total} days"
        tell(progress.fraction or 0.0, f"{days}, {progress.items_delivered:,} items")


def tell_run(run: RunDetail, tell: Tell) -> None:
    """How a run ended; what it had done before stays shown."""
    if run.state == "completed":
        tell(1.0, run.state)
