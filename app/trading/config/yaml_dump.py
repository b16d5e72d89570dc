"""A configuration as YAML 1.2 text that reads back equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

from app.trading.sections import BacktestConfig

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_TAKEN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # by YAML 1.1 readers too


class _Representer(SafeRepresenter):
    """Text that might be taken for something else stands in quotes; floats stay floats."""

    def represent_text(self, value: str) -> Any:
        plain = _PLAIN.fullmatch(value) and value.lower() not in _TAKEN
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')

    def represent_number(self, value: float) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Representer.add_representer(str, _Representer.represent_text)
_Representer.add_representer(float, _Representer.represent_number)


def dump_config(config: BacktestConfig) -> str:
    """Every key with its value, defaults too; the same text for equal configurations."""
    return dump_yaml(config.model_dump(mode="json"))


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Plain values (what JSON can hold) as YAML 1.2, keys in their order."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 2**31
    stream = StringIO()
    yaml.dump(dict(data), stream)
    return stream.getvalue()
