"""A progress bar in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[float, str], None]


@contextmanager
def progress_bar(title: str, shown: bool = True) -> Iterator[Tell]:
    """Gives ``tell(fraction, text)``; the bar is on stderr, and stays with its last state."""
    from tqdm import tqdm  # only who wants a bar pays for it

    bar = tqdm(
        total=1.0, desc=title, disable=not shown, dynamic_ncols=True,
        bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}",
    )  # fmt: skip

    def tell(fraction: float, text: str = "") -> None:
        bar.set_description_str(f"{title} {text}".strip(), refresh=False)
        bar.update(fraction - bar.n)

    with bar:
        yield tell
