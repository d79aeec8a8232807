"""Alerts to a webhook: one JSON object by POST, which also has the fields that Slack (`text`) and
Discord (`content`) read.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from urllib.parse import urlsplit

from experiments.core.run_folder import RunError
from experiments.monitoring.alerts import Alert
from fundenv.market.download.http import needed

_KEPT = 100  # alerts that wait while the webhook does not answer; older ones are dropped
_SECONDS = 5.0


class Webhook:
    """Sends alerts to `url`, in order. One that fails is sent again at the next `deliver`. Raises
    `RunError` where `url` is no address.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise RunError(f"--webhook {url}: expected an address, https://host/path")
        self.url, self._host = url, parts.netloc
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def send(self, alert: Alert, state: str, now: int) -> None:
        """Put an alert that `begins` or `ends` at `now` (ms) in the queue."""
        text = f"fundenv: {alert.kind} {state}: {alert.what}: {alert.text}"
        fields = {"kind": alert.kind, "what": alert.what, "state": state, "at": now}
        self._waiting.append({"text": text, "content": text, **fields})

    def deliver(self) -> list[str]:
        """Send the alerts in the queue; returns a line if the webhook does not accept one."""
        httpx = needed("httpx")
        while self._waiting:
            try:
                answer = httpx.post(self.url, json=self._waiting[0], timeout=_SECONDS)
                answer.raise_for_status()
            except httpx.HTTPStatusError as error:
                why = f"it answered {error.response.status_code}"
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
            else:
                self._waiting.popleft()
                continue
            # the path of such an address is a secret: only the host is named
            return [f"webhook at {self._host}: {why}; {len(self._waiting)} call(s) wait"]
        return []
