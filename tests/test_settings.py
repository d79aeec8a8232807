"""The base of all settings: what a class says of itself in words, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

import agents
from fundenv.config import EnvConfig
from fundenv.settings import Range, Row, Settings, SettingsError, describe, schema
from fundenv.settings.base import fields_of

CLASSES: dict[str, type[Settings]] = {"env": EnvConfig} | {
    name: agents.agent_class(name).parameters for name in agents.names()
}


@dataclass(frozen=True, kw_only=True)
class Base(Settings):
    """Settings that others build on."""

    share: Annotated[float, Range(0, 1, "of equity")] = 0.5
    """What a position may use,
    at most.
    """


@dataclass(frozen=True, kw_only=True)
class Mine(Base):
    """Settings as a user writes them."""

    rounds: Annotated[int | None, Range(1, 10)]
    """How often."""
    kind: Literal["one", "two"] = "one"
    """Which."""
    share: Annotated[float, Range(0, 1, "of equity")] = 0.25
    grid: Annotated[tuple[float, ...], Range(-1, 1)] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Outer(Settings):
    """Settings within settings."""

    base: Base = dataclasses.field(default_factory=Base)


def test_rows_name_type_default_range_unit_and_text() -> None:
    assert describe(Mine) == [
        Row("share", "number", "0.25", "0 .. 1", "of equity", "What a position may use, at most."),
        Row("rounds", "whole number or none", "required", "1 .. 10", "", "How often."),
        Row("kind", "choice", "one", "one, two", "", "Which."),
        Row("grid", "numbers", "0 1", "-1 .. 1", "", ""),
    ]
    assert [row.name for row in describe(Outer)] == ["base.share"]


def test_the_schema_says_the_same() -> None:
    made = schema(Mine)
    assert made["required"] == ["rounds"]
    assert made["additionalProperties"] is False
    assert made["properties"]["share"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "unit": "of equity",
        "description": "What a position may use, at most.",
        "default": 0.25,
    }
    assert made["properties"]["rounds"]["anyOf"][1] == {"type": "null"}
    assert made["properties"]["grid"]["items"] == {"type": "number", "minimum": -1, "maximum": 1}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rounds": 11}, "rounds = 11 is outside 1 .. 10; set it within"),
        ({"rounds": 1.5}, "rounds = 1.5: expected whole number in 1 .. 10"),
        ({"rounds": True}, "rounds = True: expected whole number in 1 .. 10"),
        ({"rounds": 1, "kind": "three"}, "kind = 'three' is not one of one, two"),
        ({"rounds": 1, "shard": 0.5}, "unknown setting 'shard'; did you mean share?"),
        ({"rounds": 1, "share": None}, "share = None: expected number in 0 .. 1"),
        ({"rounds": 1, "grid": ()}, "grid is empty; give at least one value in -1 .. 1"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        Mine(**values)
    assert str(error.value) == said


def test_one_value_stands_for_a_tuple_of_one() -> None:
    config = EnvConfig.from_dict({"leverage_grid": 2, "observe": "available", "dials": "carry"})
    assert config.leverage_grid == (2,)
    assert config.observe == ("available",)
    assert config.dials == ("carry",)
    with pytest.raises(ValueError, match=r"leverage_grid = .500,. is outside 1 .. 125"):
        EnvConfig.from_dict({"leverage_grid": 500})


@pytest.mark.parametrize("name", CLASSES)
def test_every_setting_has_its_text_and_every_number_its_range(name: str) -> None:
    for row in describe(CLASSES[name]):
        assert len(row.text) >= 10, row
        assert row.text.endswith("."), row
        assert row.range or row.type.split()[0] not in ("number", "numbers", "whole"), row


@pytest.mark.parametrize("name", CLASSES)
def test_the_schema_of_every_class_is_json(name: str) -> None:
    made = json.loads(json.dumps(schema(CLASSES[name])))
    assert list(made["properties"]) == list(fields_of(CLASSES[name]))
