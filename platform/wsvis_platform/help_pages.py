"""Help pages of an experiment: one screen of run options, a page per settings group, or all.

``--help`` names the run options and the groups, ``--help GROUP`` shows a group's settings with
their ranges and defaults, ``--help-all`` shows everything. Descriptions, types and ranges are read
from the configuration classes.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from wsvis.config import Config
from wsvis.errors import InputError
from wsvis.setting_descriptions import Setting, first_sentence, settings_of
from wsvis.settings import suggestion

_WIDEST = 100


def requested_help(
    arguments: Sequence[str], program: str, about: str, options: Sequence[Any], config: Config
) -> str | None:
    """The page that the arguments ask for; ``None`` where they ask for none.

    Args:
        arguments: what stands after the program's name.
        program: its name.
        about: what it does; the first paragraph goes on the first page.
        options: dataclasses of run options with their defaults, in the order of the page.
        config: settings with the preset's values as defaults.

    Raises:
        InputError: ``--help`` before a word that is no group.
    """
    given = list(arguments)
    if "--help-all" in given:
        return _everything(program, about, options, config)
    asked = next((n for n, word in enumerate(given) if word in ("-h", "--help")), None)
    if asked is None:
        return None
    topic = given[asked + 1] if len(given) > asked + 1 else ""
    if not topic or topic.startswith("-"):
        return _first_page(program, about, options, config)
    groups = _groups(config)
    if topic not in groups:
        raise InputError(f"--help {topic}: no such group of settings; {suggestion(topic, groups)}")
    return "\n".join(_group_page(topic, groups[topic]))


def _groups(config: Config) -> dict[str, Any]:
    values = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if dataclasses.is_dataclass(value)}


def _choices(config: Config) -> list[Setting]:
    """Settings that stand in no group; the seed is an option of experiments."""
    return [setting for setting in settings_of(config) if setting.name != "seed"]


def _first_page(program: str, about: str, options: Sequence[Any], config: Config) -> str:
    width = _width()
    lines = [f"usage: {program} [OPTIONS] [SETTINGS]", ""]
    lines += textwrap.wrap(about.strip().split("\n\n")[0], width)
    lines += ["", "Options:", "  -h, --help [GROUP] this page, or the settings of a group"]
    lines += [_short(s, width) for each in options for s in settings_of(each)]
    lines += [_short(s, width) for s in _choices(config)]
    lines += ["", "Settings, in groups; --help GROUP shows those of one, --help-all everything:"]
    names = _groups(config)
    column = max(map(len, names)) + 4
    for name, value in names.items():
        lines.append(f"  {name:<{column}}{_cut(first_sentence(type(value)), width - column - 2)}")
    return "\n".join(lines)


def _everything(program: str, about: str, options: Sequence[Any], config: Config) -> str:
    lines = [f"usage: {program} [OPTIONS] [SETTINGS]", "", about.strip(), "", "Options:"]
    for setting in (s for each in options for s in settings_of(each)):
        lines += _full(setting, "")
    for setting in _choices(config):
        lines += _full(setting, "")
    for name, value in _groups(config).items():
        lines += ["", *_group_page(name, value)]
    return "\n".join(lines)


def _group_page(name: str, value: Any) -> list[str]:
    lines = textwrap.wrap(f"{name}: {' '.join((type(value).__doc__ or '').split())}", _width())
    for setting in settings_of(value, name):
        lines += _full(setting, f"{name}.")
    return lines


def _option(setting: Setting, prefix: str) -> str:
    return f"--{prefix}{setting.name.replace('_', '-')}"


def _short(setting: Setting, width: int) -> str:
    """One line: the option, what it is, what it is by default."""
    default = _shown(setting.default)
    end = f" ({default})" if default else ""
    start = f"  {_option(setting, ''):<18} "
    sentence = re.split(r"(?<!Sec)(?<!Eq)[.;:] ", setting.description)[0].rstrip(".")
    return start + _cut(sentence, width - len(start) - len(end)) + end


def _full(setting: Setting, prefix: str) -> list[str]:
    """Several lines: the option with its values, range and default, and the whole description."""
    head = f"{_option(setting, prefix)} {setting.kind}"
    notes = []
    if setting.limits is not None:
        notes.append(f"{_shown(setting.limits[0])} to {_shown(setting.limits[1])}")
    if _shown(setting.default):
        notes.append(f"default {_shown(setting.default)}")
    if notes:
        head += f"  [{'; '.join(notes)}]"
    indent = " " * 6
    body = textwrap.wrap(
        setting.description, _width(), initial_indent=indent, subsequent_indent=indent
    )
    long_head = textwrap.wrap(head, _width(), initial_indent="  ", subsequent_indent=indent)
    return [*long_head, *body]


def _cut(text: str, room: int) -> str:
    return textwrap.shorten(text, max(room, 20), placeholder=" ...", break_on_hyphens=False)


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(_shown(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, 40), _WIDEST)
