"""What scripts/serve runs: ``tapedeck serve`` in the project's folder, on some catalog, with some
configurations to run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.api.local import synthetic_catalog
from app.cli import main as tapedeck
from app.cli.show import exit_code, print_error
from app.errors import SettingsError
from app.logs import configure_logging
from settings import load_settings

ROOT = Path(__file__).resolve().parents[1]


def absolute(uri: str) -> str:
    """A folder that was typed is meant from where it was typed."""
    return uri if not uri or "://" in uri else str(Path(uri).expanduser().absolute())


def absolute_options(args: list[str]) -> list[str]:
    """The options, with an absolute ``--catalog``."""
    found = list(args)
    for at, text in enumerate(args):
        if text.startswith("--catalog="):
            found[at] = "--catalog=" + absolute(text.removeprefix("--catalog="))
        elif at and args[at - 1] == "--catalog":
            found[at] = absolute(text)
    return found


def fill_in(named: bool) -> None:
    """Configure the examples, and the synthetic catalog, written if need be, unless others are.

    ``named``: a catalog is among the options.
    """
    settings = load_settings()
    if settings.tapedeck_configs_dir is None:
        os.environ["TAPEDECK_CONFIGS_DIR"] = str(ROOT / "examples")
    if named or settings.data_catalog_uri is not None:
        return
    logs = configure_logging(settings.log_level, settings.log_format)
    os.environ["DATA_CATALOG_URI"] = synthetic_catalog(settings)
    logs.close()


def main() -> None:
    """Serve with the options of the command line."""
    options = absolute_options(sys.argv[1:])
    if "DATA_CATALOG_URI" in os.environ:
        os.environ["DATA_CATALOG_URI"] = absolute(os.environ["DATA_CATALOG_URI"])
    os.chdir(ROOT)  # where .env and the cache lie
    words = {text.split("=")[0] for text in options}
    if not words & {"--help", "-h"}:
        try:
            fill_in("--catalog" in words)
        except SettingsError as error:
            print_error(error)
            raise SystemExit(exit_code(error)) from error
    sys.argv = ["tapedeck", "serve", *options]
    tapedeck()


if __name__ == "__main__":
    main()
