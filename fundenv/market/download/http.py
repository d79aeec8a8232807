"""Fetch bytes from servers that may be slow, busy, broken or hostile. Every failure is retried,
resumed, or refused with an error of one line.
"""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from fundenv.market.download.series import DownloadError, Missing

T = TypeVar("T")
_BUSY = (408, 418, 425, 429)  # 418: Binance sends it to a client that ignored 429


class Again(Exception):
    """A failure that another try may resolve; `after`: seconds to wait at least."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Time-outs, retries and size limits of a client; seconds and bytes.

    Attributes:
        retries: further tries after the first. backoff: wait before the first retry, doubled each
        time, with up to a quarter at random on top. longest_wait: a server that asks for more
        (Retry-After) ends the attempt with a message. timeout: for a connection, and for the next
        bytes of an answer. patience, least_rate: an answer that after `patience` has been slower
        than `least_rate` bytes a second is cut off and resumed. largest: largest size of an answer;
        an unpacked archive may have ten times as much. rate: requests a second to each host.
    """

    retries: int = 6
    backoff: float = 1.0
    longest_wait: float = 300.0
    timeout: float = 20.0
    patience: float = 30.0
    least_rate: float = 1024.0
    largest: int = 64 * 2**20
    rate: float = 8.0


def needed(module: str) -> Any:
    """Import a module of the extra `download`. Raises `DownloadError` that names the extra."""
    try:
        return import_module(module)
    except ImportError as error:
        raise DownloadError(
            f"{module.split('.')[0]} is not installed; pip install 'fundenv[download]'"
        ) from error


def persist(
    what: str,
    attempt: Callable[[], T],
    policy: Policy,
    *,
    later: str = "run the same command again",
) -> T:
    """Call `attempt` until it does not raise `Again`. After the last try raises `DownloadError`
    with the last reason.
    """
    for number in range(policy.retries + 1):
        try:
            return attempt()
        except Again as again:
            wait = max(again.after, policy.backoff * 2**number * random.uniform(1.0, 1.25))
            if again.after > policy.longest_wait:
                raise DownloadError(
                    f"{what}: {again}; it asks to wait {again.after:.0f} s; {later} after that"
                ) from None
            if number == policy.retries:
                raise DownloadError(
                    f"{what}: gave up after {number + 1} tries: {again}; {later}"
                ) from None
            time.sleep(min(wait, policy.longest_wait))
    raise AssertionError("unreachable")


@dataclass(eq=False)
class Http:
    """A client for archives; safe to share between threads."""

    policy: Policy = field(default_factory=Policy)
    skew_ms: int | None = None  # clock of the last server that sent its time, less this machine's

    def __post_init__(self) -> None:
        httpx = needed("httpx")
        self._httpx = httpx
        self._client = httpx.Client(
            timeout=self.policy.timeout,
            follow_redirects=True,
            headers={"Accept-Encoding": "identity", "User-Agent": "fundenv"},
        )
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def text(self, url: str, largest: int = 4 * 2**20) -> str:
        """A small text. Raises `Missing` for 404, `DownloadError` otherwise."""

        def attempt() -> bytes:
            body = bytearray()
            self._stream(url, {}, lambda response: lambda chunk: _take(body, chunk, largest, url))
            return bytes(body)

        raw = persist(url, attempt, self.policy)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DownloadError(
                f"{url}: not UTF-8 text (byte {error.start}); the server answers something else"
            ) from None

    def file(self, url: str, target: Path) -> None:
        """Download to `target`, continuing where an earlier attempt of this or another process
        stopped. Raises the errors of `text`.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        persist(url, lambda: self._resume(url, target), self.policy)

    def _resume(self, url: str, target: Path) -> None:
        """One attempt. `.partial` holds the bytes received so far, `.validator` the version of the
        file that they belong to.
        """
        partial, validator = (
            target.with_name(target.name + ".partial"),
            target.with_name(target.name + ".validator"),
        )
        if partial.is_symlink() or validator.is_symlink():
            _discard(partial, validator)  # nothing is written through a link
        have = partial.stat().st_size if partial.exists() and validator.exists() else 0
        headers = {"Range": f"bytes={have}-", "If-Range": validator.read_text()} if have else {}
        try:
            with partial.open("ab") as file:

                def begin(response: Any) -> Callable[[bytes], None]:
                    at = (
                        have
                        if response.status_code == 206 and _range_start(response) == have
                        else 0
                    )
                    if response.status_code == 206 and not at:
                        raise Again("the server resumed at another byte")
                    file.truncate(at)
                    file.seek(at)
                    tag = (
                        response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
                    )
                    (
                        validator.write_text(tag)
                        if tag and not tag.startswith("W/")
                        else validator.unlink(missing_ok=True)
                    )

                    def take(chunk: bytes) -> None:
                        if file.tell() + len(chunk) > self.policy.largest:
                            raise _too_large(url, self.policy.largest)
                        file.write(chunk)

                    return take

                self._stream(url, headers, begin)
        except _Unsatisfiable:
            _discard(partial, validator)
            raise Again("the server has another version of the file now") from None
        except DownloadError:
            _discard(partial, validator)
            raise
        partial.replace(target)
        validator.unlink(missing_ok=True)

    def _stream(
        self, url: str, headers: dict[str, str], begin: Callable[[Any], Callable[[bytes], None]]
    ) -> None:
        """Send a request and pass on each chunk of the answer; failures become `Again`, `Missing`
        or `DownloadError`.
        """
        self._wait_turn(url)
        httpx, started, received = self._httpx, time.monotonic(), 0
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                self._note_clock(response)
                _judge(url, response)
                promised = int(response.headers.get("Content-Length") or 0)
                if promised > self.policy.largest:
                    raise _too_large(url, self.policy.largest)
                take = begin(response)
                for chunk in response.iter_raw():  # a size here would wait for so many bytes
                    take(chunk)
                    received += len(chunk)
                    passed = time.monotonic() - started
                    if passed > self.policy.patience and received < passed * self.policy.least_rate:
                        raise Again(f"only {received} bytes came in {passed:.0f} s")
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        except httpx.InvalidURL as error:
            raise DownloadError(f"{url}: not an address ({error}); correct the mirror") from error

    def _wait_turn(self, url: str) -> None:
        """Keep to the rate of each host."""
        host = str(self._httpx.URL(url).host)
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._due.get(host, 0.0))
            self._due[host] = turn + 1.0 / self.policy.rate
        time.sleep(turn - now)

    def _note_clock(self, response: Any) -> None:
        try:
            told = email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return
        self.skew_ms = int((told - time.time()) * 1000)


class _Unsatisfiable(Exception):
    """416: the range asked for lies outside the file."""


def _judge(url: str, response: Any) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status == 404:
        raise Missing(f"{url}: not there (404)")
    if status == 416:
        raise _Unsatisfiable
    if status in _BUSY or status >= 500:
        raise Again(f"the server answers {status}", _retry_after(response))
    why = (
        "it refuses this place or network; use a mirror (--mirror)"
        if status in (401, 403, 451)
        else "the address may have changed"
    )
    raise DownloadError(f"{url}: the server answers {status}; {why}")


def _retry_after(response: Any) -> float:
    """Seconds for which the server asks to wait, a number or a date (RFC 9110, 10.2.3); 0 where it
    sends nothing readable.
    """
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def _range_start(response: Any) -> int:
    """First byte of a partial answer; -1 where the server does not say."""
    words = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")
    return int(words[0]) if words[0].isdigit() else -1


def _take(body: bytearray, chunk: bytes, largest: int, url: str) -> None:
    if len(body) + len(chunk) > largest:
        raise _too_large(url, largest)
    body += chunk


def _too_large(url: str, largest: int) -> DownloadError:
    return DownloadError(
        f"{url}: the answer exceeds {largest / 2**20:g} MiB; refused; raise Policy.largest if it is"
        " genuine"
    )


def _discard(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
