"""Configurations that callers of a server may name: those of its folder, and no others."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import NotFoundError, RequestError
from app.trading.config import ConfigFile, read_config_file
from settings import Settings


def read_server_config(settings: Settings, name: str, overrides: Sequence[str] = ()) -> ConfigFile:
    """A configuration of the folder that the settings name, with a caller's own values.

    NotFoundError where there is no such folder, ConfigError where it is wrong. Which catalog is
    read is the word of settings and configurations alone: RequestError for another one.
    """
    folder = settings.tapedeck_configs_dir
    if folder is None:
        raise NotFoundError("no configurations can be run here; set TAPEDECK_CONFIGS_DIR")
    for text in overrides:
        keys = [key.strip() for key in text.partition("=")[0].split(".")]
        if keys == ["data"] or keys[:2] == ["data", "catalog"]:
            raise RequestError(f"{text}: the catalog of a server's run cannot be set from outside")
    return read_config_file(name, overrides, folder)


def list_server_configs(settings: Settings) -> list[str]:
    """The YAML files of the folder that the settings name; none where they name none."""
    folder = settings.tapedeck_configs_dir
    if folder is None or not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
