"""A run's configuration: read from YAML 1.2, checked, overridden, and written again."""

from app.trading.config.files import (
    ConfigFile,
    load_backtest_config,
    parse_backtest_config,
    read_config_file,
)
from app.trading.config.schema import config_schema, describe_config
from app.trading.config.yaml_dump import dump_config, dump_yaml
from app.trading.sections import BacktestConfig

__all__ = [
    "BacktestConfig",
    "ConfigFile",
    "config_schema",
    "describe_config",
    "dump_config",
    "dump_yaml",
    "load_backtest_config",
    "parse_backtest_config",
    "read_config_file",
]
