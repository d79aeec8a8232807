"""The server: it starts the clients, asks for masked sums and hands out what follows from them. It
reads no data.
"""

from __future__ import annotations

import multiprocessing
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener, wait
from typing import Any

from numpy.typing import NDArray

from experiments.core.run_folder import RunError
from experiments.federating import client
from experiments.federating.models import Array
from experiments.federating.secure import total
from experiments.federating.wire import receive, send

LEAST = 2


@dataclass
class Federation:
    """The clients that are still there, and the next exchange.

    say: where a line about a lost client goes. timeout: seconds that a client has for one answer.
    """

    tasks: Sequence[client.Task]
    timeout: float
    say: Callable[[str], None] = print
    exchange: int = 0
    links: dict[int, Connection] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    lost: list[str] = field(default_factory=list)
    processes: list[Any] = field(default_factory=list)

    def __enter__(self) -> Federation:
        """Start a process for each client and introduce them to each other."""
        key = secrets.token_bytes(32)
        context = multiprocessing.get_context("spawn")
        with Listener(("127.0.0.1", 0), backlog=len(self.tasks), authkey=key) as listener:
            for task in self.tasks:
                process = context.Process(
                    target=client.run, args=(task, listener.address, key), daemon=True
                )
                process.start()
                self.processes.append(process)
            try:
                self._greet(_accepted(listener, len(self.tasks), self.processes, self.timeout))
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *error: object) -> None:
        """End every client."""
        for link in self.links.values():
            link.close()
        for process in self.processes:
            process.terminate()
            process.join()

    def _greet(self, waiting: list[Connection]) -> None:
        publics, groups = {}, []
        for link in waiting:
            kind, head, arrays = self._answer(link, "a client", "its greeting")
            if kind == "error":
                raise RunError(head)
            self.links[head["number"]] = link
            publics[str(head["number"])] = arrays["public"]
            groups.append(head["groups"])
        self.groups = tuple(g for g in groups[0] if all(g in each for each in groups))
        for link in self.links.values():
            send(link, "peers", **publics)

    def sum(self, what: str, *, weights: Array | None = None, **head: Any) -> Array:
        """The sum over the clients of what they contribute; where one is lost, it is asked again of
        the others.
        """
        while True:
            self.exchange += 1
            asked = head | {
                "what": what, "exchange": self.exchange, "among": sorted(self.links),
                "groups": self.groups,
            }  # fmt: skip
            given = {} if weights is None else {"weights": weights, "moments": weights}
            answers = self.ask("sum", asked, given, f"exchange {self.exchange} ({what})")
            if len(answers) == len(asked["among"]):
                return total([arrays["message"] for _, _, arrays in answers.values()])

    def ask(
        self, kind: str, head: Any, arrays: dict[str, NDArray[Any]], where: str
    ) -> dict[int, tuple[str, Any, dict[str, NDArray[Any]]]]:
        """The answers of all clients to one message; whoever does not answer is lost."""
        for number in list(self.links):
            try:
                send(self.links[number], kind, head=head, **arrays)
            except OSError:
                self._lose(number, where, "its connection is closed")
        answers = {}
        for number in list(self.links):
            try:
                answers[number] = self._answer(self.links[number], self._name(number), where)
            except TimeoutError:
                self._lose(number, where, f"no answer within {self.timeout:g} s")
            except (EOFError, OSError):
                self._lose(number, where, "its connection is closed")
        for number, (said, text, _) in answers.items():
            if said == "error":
                raise RunError(f"client {self._name(number)}: {text}")
        return answers

    def _answer(self, link: Connection, name: str, where: str) -> Any:
        if not link.poll(self.timeout):
            raise TimeoutError(f"{name}: {where}")
        return receive(link)

    def _name(self, number: int) -> str:
        return self.tasks[number].name

    def _lose(self, number: int, where: str, reason: str) -> None:
        self.links.pop(number).close()
        self.lost.append(self._name(number))
        if len(self.links) < LEAST:
            raise RunError(
                f"client {self._name(number)} is lost in {where}: {reason}; {len(self.links)} is"
                f" left and a federation needs {LEAST}: start it again"
            )
        self.say(
            f"client {self._name(number)} is lost in {where}: {reason}; the others go on without it"
        )


def _accepted(
    listener: Listener, many: int, processes: Sequence[Any], timeout: float
) -> list[Connection]:
    """A connection of every client. Raises `RunError` where a process ends before it connects."""
    found: list[Connection] = []

    def accept() -> None:
        while len(found) < many:
            try:
                with suppress(multiprocessing.AuthenticationError):  # a stranger on the port
                    found.append(listener.accept())
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    left = timeout
    while thread.is_alive() and left > 0:
        thread.join(0.2)
        left -= 0.2
        if wait([process.sentinel for process in processes], 0) and len(found) < many:
            break
    if len(found) < many:
        raise RunError(
            f"{many - len(found)} of {many} clients did not connect; their output above says why"
        )
    return found


def train_together(
    federation: Federation, models: Sequence[str], rounds: int, tell: Callable[[str], None]
) -> dict[str, Array]:
    """Train every model over the clients; `tell` is called after each step. Returns the weights."""
    from experiments.federating.models import har_weights

    found: dict[str, Array] = {}
    for model in models:
        if model == "har":
            found[model] = har_weights(federation.sum("har"))
            tell("har: one exchange")
        else:
            moments = federation.sum("moments", model=model)
            federation.sum("begin", weights=moments)
            weights = _first(model, federation, moments)
            for step in range(rounds):
                added = federation.sum("train", weights=weights, round=step)
                weights = added[1:] / added[0]
                tell(f"{model}: round {step + 1}")
            found[model] = weights
        shown = {"weights": found[model]}
        federation.ask("result", {"model": model}, shown, f"the result of {model}")
        tell(f"{model}: forecasts")
    federation.ask("end", None, {}, "the end")
    return found


def _first(model: str, federation: Federation, moments: Array) -> Array:
    """The weights that every client would begin with."""
    from experiments.federating.models import initial_weights

    return initial_weights(model, (len(moments) - 1) // 2, federation.tasks[0].seed)
