"""Settings of the environment and parameters of agents as flags: `--env.episode 60D --ppo.entropy
0.01`, a group in --help for each.

A flag is another way to write NAME=VALUE behind --env or --params, and is kept as that in the
record of a run.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

import agents
from agents.params import FORMER
from experiments.core.run_folder import RunError
from fundenv.config import EnvConfig
from fundenv.settings import Row, Settings, SettingsError, describe
from fundenv.settings.base import fields_of
from fundenv.settings.describe import texts_of

A = TypeVar("A")
_FLAG = re.compile(r"--([A-Za-z][\w-]*)\.([\w-]+)(?:=.*)?$", re.DOTALL)
_ENV = "env"
# settings with a flag of their own
ELSEWHERE = {"venue": "--venue", "venues": "--venues", "cash_rate": "--cash-rate"}


def parse(args: type[A], words: Sequence[str], **options: Any) -> A:
    """`args` from the words of a command line; flags of groups become items of its fields `env` and
    `params`.

    Raises `SettingsError` for a name that no setting has, `RunError` for a group that the command
    does not have.
    """
    given = _given(args, words)
    wanted = {_ENV: None} if "env" in _names(args) else {}
    asks = "--help" in words or "-h" in words
    shown = [*wanted, *_agents(args, words)] if asks else []
    prefixes = list(dict.fromkeys([*shown, *given]))
    line = dataclasses.make_dataclass(
        "Line",
        [
            ("args", Annotated[_with_texts(args), tyro.conf.arg(name="")]),
            *(
                (
                    f"{prefix}_group",
                    Annotated[_group(prefix, given.get(prefix, ())), tyro.conf.arg(name=prefix)],
                )
                for prefix in prefixes
            ),
        ],
        frozen=True,
    )
    parsed: Any = tyro.cli(line, args=list(words), **options)
    made: Any = args(**vars(parsed.args))
    items: dict[str, list[str]] = {}
    for prefix in given:
        values = vars(getattr(parsed, f"{prefix}_group"))
        for name, value in values.items():
            if value is not None:
                field, start = _place(made, prefix)
                items.setdefault(field, []).append(f"{start}{name}={_text(value)}")
    added = {field: (*getattr(made, field), *texts) for field, texts in items.items()}
    whole: A = dataclasses.replace(made, **added)
    return whole


def _with_texts(args: type[Any]) -> type[Any]:
    """`args` with the text under each field as its help, without the line breaks of the source."""
    hints = typing.get_type_hints(args, include_extras=True)
    texts = texts_of(args)
    fields = [
        (
            field.name,
            Annotated[hints[field.name], tyro.conf.arg(help=texts.get(field.name))],
            dataclasses.field(default=field.default, default_factory=field.default_factory),
        )
        for field in dataclasses.fields(args)
    ]
    return dataclasses.make_dataclass(args.__name__, fields, frozen=True, kw_only=True)


def _names(args: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(args)}


def _given(args: type[Any], words: Sequence[str]) -> dict[str, list[str]]:
    """The groups that the words name, and the names in each; raises where one does not exist."""
    found: dict[str, list[str]] = {}
    for word in words:
        match = _FLAG.match(word)
        if not match:
            continue
        prefix, name = match[1].replace("-", "_"), match[2].replace("-", "_")
        if prefix != _ENV and prefix in _names(args):  # a field that has fields of its own
            continue
        needed = "env" if prefix == _ENV else "params"
        if needed not in _names(args):
            raise RunError(f"{word.split('=')[0]}: this command has no such group; see --help")
        kind = _kind(prefix)
        if prefix == _ENV and name in ELSEWHERE:
            raise RunError(f"{word.split('=')[0]}: give {ELSEWHERE[name]} in its place")
        if _today(name, kind) is None:
            raise kind.unknown(name) if prefix == _ENV else _unknown(kind, name, prefix)
        found.setdefault(prefix, []).append(name)
    return found


def _today(name: str, kind: type[Settings]) -> str | None:
    """The name of the setting that is, or was, called `name`; None where there is none."""
    known = fields_of(kind)
    return next((each for each in (name, FORMER.get(name)) if each in known), None)


def _unknown(kind: type[Settings], name: str, owner: str) -> ValueError:
    try:
        agents.make(owner, **{name: None})
    except SettingsError as error:
        return error
    return kind.unknown(name)


def _agents(args: type[Any], words: Sequence[str]) -> list[str]:
    """The agents whose parameters --help lists: those that the words name, or those of the
    defaults.
    """
    if "params" not in _names(args):
        return []
    for field in dataclasses.fields(args):
        flag = f"--{field.name}"
        if field.name in ("agent", "agents", "rules"):
            named = list(words[words.index(flag) + 1 :]) if flag in words else []
            end = next((i for i, word in enumerate(named) if word.startswith("-")), len(named))
            default = field.default if isinstance(field.default, tuple) else (field.default,)
            return [
                name
                for name in (named[:end] or default)
                if name in agents.names() and fields_of(_kind(name))
            ]
    return []


def _kind(prefix: str) -> type[Settings]:
    return EnvConfig if prefix == _ENV else agents.agent_class(prefix).parameters


def _place(args: Any, prefix: str) -> tuple[str, str]:
    """The field of `args` that takes a flag of the group, and what stands before NAME=VALUE
    there.
    """
    if prefix == _ENV:
        return "env", ""
    if not hasattr(args, "agent"):
        return "params", f"{prefix}."
    if args.agent != prefix:
        raise RunError(
            f"--{prefix}.*: the agent of this run is {args.agent}; give --agent {prefix}, or"
            f" --{args.agent}.* in its place"
        )
    return "params", ""


def _text(value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    return f"[{', '.join(map(_quoted, value))}]"


def _quoted(word: str) -> str:
    try:
        json.loads(word)
    except json.JSONDecodeError:
        return json.dumps(word)
    return word


def _group(prefix: str, given: Sequence[str]) -> type[Any]:
    """A class with a text for each setting, None where it is not given; the settings themselves
    check the values. A former name among those `given` stays as it is: the record of a run, with
    which a continued run is compared, holds the words of the command.
    """
    kind = _kind(prefix)
    known = fields_of(kind)
    made: list[Any] = []
    for row in describe(kind):
        if prefix == _ENV and row.name in ELSEWHERE:
            continue
        many = known[row.name].many
        note = tyro.conf.arg(
            metavar=_metavar(row, many),
            help=_help(row),
            help_behavior_hint=f"(default: {row.default})",
        )
        hint: Any = tuple[str, ...] | None if many else str | None
        former = [name for name in given if name != row.name and _today(name, kind) == row.name]
        made += [
            (name, Annotated[hint, note], dataclasses.field(default=None))
            for name in dict.fromkeys([row.name, *former])
        ]
    group = dataclasses.make_dataclass(prefix, made, frozen=True, kw_only=True)
    group.__doc__ = (kind.__doc__ or "").split("\n\n")[0]
    return group


def _metavar(row: Row, many: bool) -> str:
    choices = row.type.startswith("choice")
    word = "{" + row.range.replace(", ", ",") + "}" if choices else _WORDS.get(row.type, "TEXT")
    return f"{word} .." if many else word


_WORDS = {
    "number": "FLOAT",
    "numbers": "FLOAT",
    "number or none": "FLOAT",
    "whole number": "INT",
    "true or false": "BOOL",
    "duration": "DURATION",
    "duration or none": "DURATION",
    "day or none": "DAY",
    "dials": "DIAL",
    "columns": "COLUMN",
    "ranges": "JSON",
}


def _help(row: Row) -> str:
    limits = "" if row.type.startswith("choice") else row.range
    return f"{row.text} {f'[{limits} {row.unit}'.rstrip() + ']' if limits else ''}".rstrip()
