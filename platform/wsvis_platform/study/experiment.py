"""The command line every experiment shares: a preset, a config file, options, dotted settings.

Later ones win: the preset, then ``--config-file``, then what the command line says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

from tyro.conf import arg

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.settings import suggestion
from wsvis_platform.arguments import parse_arguments
from wsvis_platform.config_files import read_config
from wsvis_platform.given_paths import absolute_path, absolute_settings
from wsvis_platform.help_pages import requested_help
from wsvis_platform.options import MachineOptions

Options = TypeVar("Options", bound=MachineOptions)


@dataclass(frozen=True, kw_only=True)
class ExperimentArguments(Generic[Options]):
    """What an experiment can be told."""

    preset: str = "cpu"
    """Named configuration to start from: cpu, clips, clips-standin, davis-mini,
    paper-ytvis or paper-cityscapes."""
    config_file: str = ""
    """JSON of settings to lay over the preset, for instance a sweep's best_config.json. Relative
    paths in it begin where the command is called."""
    options: Annotated[Options, arg(name="")]
    config: Annotated[Config, arg(name="")] = field(default_factory=Config)


def parse_experiment(
    program: str,
    about: str,
    presets: Mapping[str, Callable[[], Config]],
    kind: type[Options],
    arguments: Sequence[str] | None = None,
    preset: str = "cpu",
) -> tuple[Options, Config, str]:
    """Options of the given kind, configuration and the preset's name from the command line.

    Every path comes back absolute; relative ones, also in a config file, begin where the command
    was called.

    Raises:
        SystemExit: after a page of help.
        InputError: an unknown preset, option or setting, or a value that does not fit; one line.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", default=preset)
    early.add_argument("--config-file", default="")
    try:
        known, _ = early.parse_known_args(given)
    except SystemExit:
        raise InputError("--preset and --config-file each take one value") from None
    if known.preset not in presets:
        raise InputError(
            f"no preset is called {known.preset!r}; {suggestion(known.preset, presets)}"
        )
    config = presets[known.preset]()
    if known.config_file:
        config = read_config(absolute_path(known.config_file, "--config-file"), config)
    default = ExperimentArguments(
        preset=known.preset, config_file=known.config_file, config=config, options=kind()
    )
    page = requested_help(given, program, about, (default, default.options), config)
    if page is not None:
        print(page)
        raise SystemExit(0)
    parsed = parse_arguments(
        ExperimentArguments[kind], given, program=program, about=about, default=default
    )
    options = parsed.options.with_absolute_paths()
    return options, absolute_settings(parsed.config), parsed.preset
