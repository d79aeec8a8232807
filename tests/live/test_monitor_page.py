"""The page of the monitor in a real browser: rows change, an alert appears, a stale venue turns
grey; at the width of a desk and of a phone, light and dark.

Needs the extra `monitor`, and Chromium with its driver (Debian: chromium, chromium-driver); without
them the tests say that they skip. With FUNDENV_SCREENSHOTS=FOLDER the pages are also saved as
pictures there: that is how data/monitor.png and data/monitor-dark.png are made.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from experiments.core.run_folder import RunError
from experiments.live.mock_world import Fault, World
from experiments.monitor import serve
from experiments.monitoring.alerts import AlertLimits
from experiments.monitoring.watch import Watch
from tests.live.monitored import accounts, watching, world

for module in ("dash", "prometheus_client"):
    pytest.importorskip(module, reason=f"{module} is not here: pip install 'fundenv[monitor]'")

webdriver = pytest.importorskip("selenium.webdriver")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
in_a_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="no Chromium with its driver here (Debian: apt install chromium chromium-driver)",
)
DESK, COLUMN, PHONE = 1400, 960, 390  # COLUMN: of the picture in the documentation
pytestmark = pytest.mark.slow


class Desk(NamedTuple):
    url: str
    watch: Watch
    world: World


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A monitor that looks twice a second; its mock world stands still."""
    folder, made = tmp_path_factory.mktemp("monitor"), world()
    papers = (accounts(folder / "paper", made),)
    done = threading.Event()
    limits = AlertLimits(stale=3600.0)
    with watching(folder / "own", made, papers=papers, limits=limits) as watch:

        def look() -> None:
            while not done.wait(0.5):
                watch.look()

        lines: list[str] = []
        stop = serve(watch, "127.0.0.1", 0, 0.5, say=lines.append)  # before any venue has told
        watch.look()
        thread = threading.Thread(target=look)
        thread.start()
        yield Desk(lines[0].split()[-1], watch, made)
        done.set()
        thread.join()
        stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    flags = "--headless=new --no-sandbox --disable-dev-shm-usage --disable-gpu --hide-scrollbars"
    for flag in flags.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service(str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def until(check: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.2)
    return answer


def text(browser: Any, place: str) -> str:
    return str(
        browser.execute_script(f"return document.getElementById('{place}')?.innerText ?? ''")
    )


def open_page(browser: Any, desk: Desk, width: int, *, dark: bool) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    _resize(browser, width, 900)
    browser.get(desk.url)
    until(lambda: "settles in" in text(browser, "funding"), "the table")
    drawn = "return document.querySelectorAll('#history .scatterlayer .trace').length"
    until(lambda: browser.execute_script(drawn) == 2, "the chart")


def _resize(browser: Any, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def picture(browser: Any, name: str, width: int) -> None:
    folder = os.environ.get("FUNDENV_SCREENSHOTS")
    if folder:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        _resize(browser, width, height)
        time.sleep(1.0)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@in_a_browser
def test_rows_change_an_alert_appears_and_a_stale_venue_turns_grey(
    browser: Any, desk: Desk
) -> None:
    open_page(browser, desk, DESK, dark=False)
    assert "cannot trade" in browser.page_source
    assert "none" in text(browser, "alerts")
    assert "+1.40" in text(browser, "funding")
    before = text(browser, "told")
    desk.world.shifts["binance", "BTCUSDT"] += 10e-4
    until(lambda: "+11.40" in text(browser, "funding"), "the new rate")
    until(lambda: "predicted +11.40" in text(browser, "alerts"), "the alert")
    assert text(browser, "told") != before
    assert "binance ETHUSDT" in text(browser, "paper")
    desk.world.faults.append(Fault("/v5/", "status", status=503, times=10**9))
    silent = "bybit sends no time"
    until(lambda: any(silent in line for line in desk.watch.view().problems), "a venue that fails")
    for key, told in desk.watch.quotes.items():
        if key.venue == "bybit":  # and it has failed for more than an hour
            told.append(told[-1]._replace(at=told[-1].at - 3_700_000))
    grey = "return [...document.querySelectorAll('#funding tr.stale')].map(r => r.innerText)"
    until(lambda: len(browser.execute_script(grey)) == 3, "three stale rows")
    assert all("bybit" in line for line in browser.execute_script(grey))
    faded = "return getComputedStyle(document.querySelector('#funding tr.stale td')).opacity"
    assert float(browser.execute_script(faded)) < 1
    until(lambda: "stale bybit BTCUSDT" in text(browser, "alerts"), "the alert")
    for dark in (False, True):
        open_page(browser, desk, COLUMN, dark=dark)
        picture(browser, "monitor-dark" if dark else "monitor", COLUMN)
    desk.world.faults.clear()
    until(lambda: browser.execute_script(grey) == [], "rows that are told again")
    until(lambda: "stale" not in text(browser, "alerts"), "no alert")
    desk.world.shifts["binance", "BTCUSDT"] -= 10e-4
    severe = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert severe == []


@in_a_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_page_fits_its_screen_and_can_be_read(
    browser: Any, desk: Desk, width: int, dark: bool
) -> None:
    open_page(browser, desk, width, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    shades = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    paper, ink = (sum(map(int, shade.strip("rgb()").split(","))) for shade in shades)
    assert (paper < ink) == dark
    assert abs(paper - ink) > 400
    label = "return getComputedStyle(document.querySelector('#coin label')).color"
    assert browser.execute_script(label) == shades[1]
    first = "return getComputedStyle(document.querySelector('#history .xtick text')).fill"
    tick = sum(
        map(int, until(lambda: browser.execute_script(first), "a label").strip("rgb()").split(","))
    )
    assert abs(paper - tick) > 300
    picture(browser, f"monitor-{width}-{'dark' if dark else 'light'}", width)


@in_a_browser
def test_a_page_that_was_opened_before_the_venues_told_fills_itself(
    browser: Any, tmp_path: Path
) -> None:
    with watching(tmp_path, world()) as watch:
        lines: list[str] = []
        stop = serve(watch, "127.0.0.1", 0, 0.5, say=lines.append)
        _resize(browser, DESK, 900)
        browser.get(lines[0].split()[-1])
        until(lambda: "asking the venues" in text(browser, "told"), "that it asks")
        assert "BTCUSDT" in text(browser, "coin")
        watch.look()
        drawn = "return document.querySelectorAll('#history .scatterlayer .trace').length"
        until(lambda: browser.execute_script(drawn) == 2, "the chart")
        assert text(browser, "coin").split() == ["BTC", "ETH", "XRP"]
        stop()


@in_a_browser
def test_another_coin_can_be_chosen(browser: Any, desk: Desk) -> None:
    open_page(browser, desk, DESK, dark=False)
    line = "return document.querySelector('#history .scatterlayer path.js-line').getAttribute('d')"
    before = browser.execute_script(line)
    browser.execute_script("document.querySelectorAll('#coin input')[1].click()")
    until(lambda: browser.execute_script(line) != before, "the other coin's rates")
    assert browser.execute_script("return document.querySelectorAll('#coin input')[1].checked")


def test_prometheus_reads_every_row_and_alert(desk: Desk) -> None:
    with urllib.request.urlopen(f"{desk.url}metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        lines = answer.read().decode().splitlines()
    rows = {row.key: row for row in desk.watch.view().rows}
    told = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"
    }
    for key, row in rows.items():
        labels = f'{{coin="{row.base}",symbol="{key.symbol}",venue="{key.venue}"}}'
        assert told[f"fundenv_settled_bp{labels}"] == pytest.approx(row.settled)
        assert told[f"fundenv_predicted_bp{labels}"] == pytest.approx(row.predicted)
    assert told["fundenv_looks"] >= 1
    assert 'fundenv_paper_equity{symbols="BTCUSDT",venue="binance"}' in told


def test_nothing_on_the_page_takes_more_than_a_reading(desk: Desk) -> None:
    """No address but those of the page itself, its files, its readings and the metrics."""
    for path in ("order", "metrics"):
        request = urllib.request.Request(f"{desk.url}{path}", data=b"{}", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request)


def test_a_port_that_is_taken_is_said(desk: Desk) -> None:
    port = int(desk.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(RunError, match="choose another --port"):
        serve(desk.watch, "127.0.0.1", port, 1.0)
