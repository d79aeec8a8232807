"""Lists settings with type, default, range, unit and what they mean.

`fundenv info env`: every setting of the environment.

`fundenv info ppo`: every parameter of an agent; your own is module:Class.

`fundenv info venue binance`: the rules of a venue; your own is the path of its TOML.

`fundenv info forecaster ridge`: every parameter of a forecaster; your own is module:Class.

`fundenv info agents`, `venues`, `forecasters`: the names of all of them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

import agents
from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv import venues
from fundenv.config import EnvConfig
from fundenv.forecast import registry as forecasters
from fundenv.settings import Row, describe
from fundenv.venues.describe import bracket_lines, rows

TOPICS = ("env", "agents", "venues", "venue binance", "forecasters", "forecaster ridge")
EXPECTED = "expected env, an agent, `venue NAME`, `forecaster NAME`, agents, venues or forecasters"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the list."""

    topic: Annotated[tuple[str, ...], tyro.conf.Positional] = ("env",)
    """`env`, the name of an agent, `venue NAME`, `forecaster NAME`, `agents`, `venues` or
    `forecasters`.
    """


def main(args: Args) -> None:
    """Print what the topic asks for."""
    match args.topic:
        case ["env"]:
            show(describe(EnvConfig), "Settings of the environment: --env NAME=VALUE")
        case ["agents"]:
            for name in agents.names():
                print(f"{name:<18}{_first(agents.agent_class(name).__doc__)}")
        case ["venues"]:
            for name in venues.venue_names():
                print(name)
        case ["venue"]:
            known = ", ".join(venues.venue_names())
            raise RunError(f"info venue: name one of {known}, or the path of your own TOML")
        case ["forecasters"]:
            for name, line in forecasters.described().items():
                print(f"{name:<18}{line}")
        case ["forecaster"]:
            raise RunError(f"info forecaster: name one of {', '.join(forecasters.names())}")
        case ["forecaster", name]:
            forecaster = forecasters.forecaster_class(name)
            print(_first(forecaster.__doc__))
            show(
                describe(forecaster.parameters), f"Parameters of {name}: make({name!r}, NAME=VALUE)"
            )
        case ["venue", name]:
            venue = venues.load_venue(name)
            show(rows(venue), f"Rules of {name} now in force", value="value")
            for line in bracket_lines(venue):
                print(line)
            shipped = files("fundenv.venues").joinpath(venue.path)
            print(f"Sources and earlier values: {shipped if shipped.is_file() else venue.path}")
        case [name]:
            own = ":" in name  # package.module:Class
            if name in forecasters.names() and name not in agents.names():
                raise RunError(f"info {name}: no agent; did you mean `info forecaster {name}`?")
            if not own and not difflib.get_close_matches(name, agents.names(), n=1):
                raise RunError(f"info {name}: no topic and no agent; {_nearest(name)}")
            kind = agents.agent_class(name)
            print(_first(kind.__doc__))
            show(describe(kind.parameters), f"Parameters of {name}: --params NAME=VALUE")
        case _:
            raise RunError(f"info {' '.join(args.topic)}: {EXPECTED}")


def show(settings: list[Row], title: str, value: str = "default") -> None:
    """A table of settings."""
    if not settings:
        print("it has no settings")
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", show_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column(value, overflow="fold", max_width=18)
    table.add_column("range and unit", overflow="fold", max_width=24)
    table.add_column("meaning", overflow="fold")
    for each in settings:
        allowed = f"{each.range or each.type} {each.unit}".strip()
        table.add_row(each.name, each.default, allowed, each.text)
    console = Console()
    Console(width=max(console.width, 100)).print(table)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, (*TOPICS, *venues.venue_names()), n=1)
    if not near:
        return EXPECTED
    return f"did you mean `info {near[0] if near[0] in TOPICS else 'venue ' + near[0]}`?"


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


if __name__ == "__main__":
    run(Args, main, __doc__)
