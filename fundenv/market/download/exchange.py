"""A careful ccxt client: one request at a time, limits on the size and time of answers, optional
mirror addresses, and symbols that are resolved without guessing.
"""

from __future__ import annotations

import email.utils
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fundenv.market.download.http import Again, Policy, needed, persist
from fundenv.market.download.series import DownloadError, Missing

T = TypeVar("T")


class Api(NamedTuple):
    """How ccxt serves one venue.

    perp, spot: ccxt's ids; `spot` empty where the venue has no spot market.
    bars, fundings: rows that one request of each kind returns at most.
    until: the word for the end of a window of settlements; empty where the venue takes no end.
    types: markets to load, where the venue lets one choose.
    """

    perp: str
    spot: str
    bars: int
    fundings: int
    until: str = "until"
    types: tuple[str, ...] = ()


# ccxt 4.5.90 has no BitMEX. OKX keeps about three months of settlements, Hyperliquid the last 5,000
# bars, Kraken's spot market the last 720.
APIS: dict[str, Api] = {
    "binance": Api("binanceusdm", "binance", 1000, 1000),
    "bybit": Api("bybit", "bybit", 1000, 200, types=("spot", "linear")),
    "okx": Api("okx", "okx", 100, 100, until="after", types=("spot", "swap")),
    "deribit": Api("deribit", "deribit", 1000, 700),
    "hyperliquid": Api("hyperliquid", "hyperliquid", 1000, 500, types=("spot", "swap")),
    "dydx": Api("dydx", "", 100, 100),
    "kraken": Api("krakenfutures", "kraken", 720, 8760, until=""),
}


@dataclass(eq=False)
class Exchange:
    """One ccxt client of a venue, for its perpetuals or its spot market. Safe to share between
    threads: requests go one after another.

    mirror: replaces scheme and host of every address of the exchange.
    """

    venue: str
    spot: bool
    policy: Policy
    mirror: str = ""
    _client: Any = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def call(self, method: str, *args: Any, **params: Any) -> Any:
        """Call a ccxt method, with retries. Raises `Missing` for an unknown symbol, `DownloadError`
        for a failure that retries do not resolve.
        """
        return self._patiently(method, lambda client: getattr(client, method)(*args, params=params))

    def clock_ms(self) -> int | None:
        """The exchange's time: its own answer, else the date of its last answer; None where it has
        sent neither.
        """
        if self.client().has.get("fetchTime"):
            answer = float(self._patiently("fetch_time", lambda c: c.fetch_time()))
            # ccxt hands on dYdX's seconds as they are
            return int(answer if answer > 1e11 else answer * 1000)
        self._patiently("load_markets", lambda c: c.load_markets())
        told = (self.client().last_response_headers or {}).get("Date")
        return int(email.utils.parsedate_to_datetime(told).timestamp() * 1000) if told else None

    def can(self, feature: str) -> bool:
        """Whether ccxt has a method for this venue ("fetchMarkOHLCV")."""
        return bool(self.client().has.get(feature))

    def market(self, symbol: str) -> dict[str, Any]:
        """ccxt's record of the linear perpetual, or the spot pair, that the venue file calls
        `symbol`. Raises `Missing` with the nearest names.
        """
        markets = self._patiently("load_markets", lambda c: c.load_markets())
        mine = [
            m for m in markets.values() if (m["spot"] if self.spot else m["swap"] and m["linear"])
        ]
        for same in (_by_id, _by_pair, _by_base):
            found = [m for m in mine if same(m, symbol)]
            if len(found) == 1:
                return dict(found[0])
            if found:
                raise DownloadError(
                    f"{self.venue}: {symbol} may be any of {', '.join(m['id'] for m in found[:5])};"
                    " give one of these names"
                )
        near = [m["id"] for m in mine if m["base"] and m["base"] in symbol.upper()][:5]
        kind = "spot pair" if self.spot else "linear perpetual"
        raise Missing(
            f"{self.venue}: no {kind} {symbol} (of {len(mine)});"
            f" {'near: ' + ', '.join(near) if near else 'see the venue for its names'}"
        )

    def client(self) -> Any:
        """The ccxt object, made on first use."""
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        api = APIS[self.venue]
        ccxt = needed("ccxt")
        client = getattr(ccxt, api.spot if self.spot else api.perp)(
            {
                "enableRateLimit": True,
                "timeout": int(self.policy.timeout * 1000),
                "enableLastResponseHeaders": True,
            }
        )
        types = api.types or (("spot",) if api.spot == "binance" and self.spot else ())
        if types:
            chosen = client.options.get("fetchMarkets")
            client.options["fetchMarkets"] = {
                **(chosen if isinstance(chosen, dict) else {}),
                "types": list(types),
            }
        if self.mirror:
            client.urls["api"] = _redirected(client.urls["api"], self.mirror)
            client.rateLimit = 1000.0 / self.policy.rate  # a mirror has limits of its own
        _bound(client, self.policy)
        return client

    def _patiently(self, what: str, ask: Callable[[Any], T]) -> T:
        with self._lock:
            client = self.client()
            return persist(
                f"{self.venue} {what}", lambda: _judged(self.venue, client, ask), self.policy
            )


def _judged(venue: str, client: Any, ask: Callable[[Any], T]) -> T:
    """Call `ask`, and raise ccxt's errors as errors of this package."""
    ccxt = needed("ccxt")
    try:
        return ask(client)
    except ccxt.BadSymbol as error:
        raise Missing(f"{venue}: {_line(error)}") from None
    except ccxt.NetworkError as error:  # 429, 5xx, time-outs, resets
        headers = client.last_response_headers or {}
        after = str(headers.get("Retry-After", ""))
        raise Again(_line(error), float(after) if after.isdigit() else 0.0) from None
    except (
        ccxt.BaseError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # the rest: answers of another shape than documented
        raise DownloadError(
            f"{venue}: {type(error).__name__}: {_line(error)}; the API may have changed, or refuses"
            " this place"
        ) from None


def _by_id(market: dict[str, Any], symbol: str) -> bool:
    return _plain(str(market["id"])) == _plain(symbol)


def _by_pair(market: dict[str, Any], symbol: str) -> bool:
    return _plain(f"{market['base']}{market['quote']}") == _plain(symbol)


def _by_base(market: dict[str, Any], symbol: str) -> bool:
    return _plain(str(market["base"])) == _plain(symbol)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name).upper()


def _line(error: BaseException) -> str:
    """What ccxt says, shortened, with what lay below it: ccxt's own text is often the address
    alone.
    """
    texts = [" ".join(str(e).split()) for e in (error, error.__cause__) if e]
    return ": ".join(
        text if len(text) < 200 else f"{text[:140]} .. {text[-50:]}"
        for text in dict.fromkeys(texts)
    )


def _redirected(urls: Any, mirror: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(url, mirror) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", mirror.rstrip("/"), urls) if isinstance(urls, str) else urls


def _bound(client: Any, policy: Policy) -> None:
    """Have the client's session refuse what is too large, too slow or no UTF-8 while it arrives;
    ccxt itself reads whatever comes.
    """
    requests = needed("requests")

    class Bounded(requests.adapters.HTTPAdapter):  # type: ignore[name-defined, misc]
        def send(self, request: Any, **options: Any) -> Any:
            response = super().send(request, **options | {"stream": True})
            response._content = _read(response, policy)
            response._content_consumed = True
            return response

    for scheme in ("https://", "http://"):
        client.session.mount(scheme, Bounded(max_retries=0))


def _read(response: Any, policy: Policy) -> bytes:
    requests = needed("requests")
    body, started = bytearray(), time.monotonic()
    while chunk := _some(response):
        body += chunk
        if len(body) > policy.largest:
            response.close()
            raise requests.exceptions.InvalidSchema(
                f"the answer exceeds {policy.largest / 2**20:g} MiB; refused"
            )
        passed = time.monotonic() - started
        if passed > policy.patience and len(body) < passed * policy.least_rate:
            response.close()
            raise requests.exceptions.Timeout(f"only {len(body)} bytes came in {passed:.0f} s")
    promised = response.headers.get("Content-Length")
    if promised and response.raw.tell() < int(promised):
        raise requests.exceptions.ConnectionError(f"{response.raw.tell()} of {promised} bytes came")
    try:
        json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise requests.exceptions.InvalidSchema(
            f"the answer is not UTF-8 text (byte {error.start}); refused"
        ) from None
    except ValueError:
        # ccxt would take a page in place of data for an answer without rows
        if response.status_code == 200:
            raise requests.exceptions.InvalidSchema(
                f"the answer is no JSON but {bytes(body[:60])!r}; refused"
            ) from None
    return bytes(body)


def _some(response: Any) -> bytes:
    """The bytes that have arrived by now; empty at the end. Errors of the layer below become those
    of requests, which ccxt handles.
    """
    try:
        return bytes(response.raw.read1(65536, decode_content=True))
    except needed("urllib3").exceptions.HTTPError as error:
        raise needed("requests").exceptions.ConnectionError(str(error)) from error
