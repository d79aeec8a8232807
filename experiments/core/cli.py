"""From a command line to a script's main function: one-line errors, and Ctrl-C that stops between
two steps.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from experiments.core.groups import parse
from experiments.core.limits import check_arguments
from experiments.core.run_folder import RunError
from fundenv.command import called
from fundenv.market import DataError, SplitError
from fundenv.settings import SettingsError
from fundenv.venues import VenueError

A = TypeVar("A")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)  # of a folder
INTERRUPTED = 130  # exit status of a process that Ctrl-C has ended


class Stopped(Exception):
    """The user has asked to stop; the message says what is kept and how to go on."""


class Interrupt:
    """Set by Ctrl-C inside `deferred`: the code that reads it finishes the current file or step and
    stops.
    """

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def deferred() -> Iterator[Interrupt]:
    """Inside this context the first Ctrl-C sets a flag; the second one interrupts at once."""
    interrupt = Interrupt()

    def note(number: int, frame: Any) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def run(args: type[A], main: Callable[[A], None], description: str | None) -> None:
    """Parse the command line into `args`, call `main`, and exit: 0, 2 with one line on bad input,
    130 with one line on Ctrl-C.
    """
    started = sys.modules["__main__"].__spec__  # None where a file is run by its path
    try:
        parsed = parse(
            args,
            sys.argv[1:],
            prog=called(started.name.removeprefix("experiments.")) if started else None,
            description=description,
        )
        check_arguments(parsed)
    except (RunError, SettingsError) as error:
        sys.exit(_line(f"error: {error}", 2))
    except BrokenPipeError:  # of --help
        _stop_writing()
    warnings.filterwarnings("ignore", category=UserWarning, module="stable_baselines3")
    shown: set[str] = set()

    def note(message: Warning | str, *where: Any, **more: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            print(f"note  {text}", flush=True)

    warnings.showwarning = note
    try:
        main(parsed)
    except (DataError, RunError, SettingsError, SplitError, VenueError) as error:
        sys.exit(_line(f"error: {error}", 2))
    except BrokenPipeError:
        _stop_writing()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(
            _line(
                f"error: {where}{error.strerror}; what was finished is kept: make room, or choose"
                " another folder",
                2,
            )
        )
    except Stopped as stop:
        sys.exit(_line(str(stop), INTERRUPTED))
    except KeyboardInterrupt:
        sys.exit(_line("interrupted; what was finished is kept", INTERRUPTED))


def _stop_writing() -> NoReturn:
    """Exit where whoever reads the output has closed it, as `| head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(INTERRUPTED)


def _line(text: str, status: int) -> int:
    start = "\n" if status == INTERRUPTED else ""  # below the progress bar
    print(start + " ".join(text.split()), file=sys.stderr)
    return status
