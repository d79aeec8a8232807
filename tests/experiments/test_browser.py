"""TensorBoard and the report in a real browser, at the width of a desk and of a phone.

Needs Chromium and its driver (Debian: chromium, chromium-driver); without them the tests say that
they skip. With FUNDENV_SCREENSHOTS=FOLDER the pages are also saved as pictures there: that is how
data/tensorboard.png is made.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
DESK, PHONE = 1200, 390

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="no Chromium with its driver here (Debian: apt install chromium chromium-driver)",
    ),
]

# The text of a page, through the shadow roots that TensorBoard is made of.
DEEP_TEXT = """
const read = node => [...node.childNodes].map(child => {
    if (child.nodeType === 3) return child.data;
    if (child.nodeName === "STYLE" || child.nodeName === "SCRIPT") return "";
    return (child.shadowRoot ? read(child.shadowRoot) : "") + read(child) + " ";
}).join("");
return read(document.body);
"""
DEEP_COUNT = """
const within = (child, wanted) => child.shadowRoot ? count(child.shadowRoot, wanted) : 0;
const count = (node, wanted) => node.querySelectorAll(wanted).length +
    [...node.querySelectorAll("*")].reduce((sum, child) => sum + within(child, wanted), 0);
return count(document, arguments[0]);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def tensorboard(small_run: Path) -> Iterator[str]:
    """Address of a TensorBoard over the run."""
    where = small_run.parent.parent  # the page shows the path that it was given
    words = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        small_run.parent.name,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=where
    )
    assert process.stdout is not None
    said = ""
    while not (found := re.search(r"at (http://\S+)", said)):
        line = process.stdout.readline()
        assert line, said
        said += line
    yield found[1]
    process.terminate()
    process.wait()


def until(check: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    """The first true answer of `check`."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.2)
    return answer


def sees(browser: Any, *words: str) -> bool:
    """True once the page shows all the words; fails with the first that it does not show in
    time.
    """
    return all(
        until(lambda word=word: word in browser.execute_script(DEEP_TEXT), word) for word in words
    )


def resize(browser: Any, width: int, height: int = 900) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def keep(browser: Any, name: str) -> None:
    if folder := os.environ.get("FUNDENV_SCREENSHOTS"):
        time.sleep(1.5)  # for what fades in
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_tensorboard_shows_runs_scalars_layout_pictures_and_the_table_of_runs(
    browser: Any, tensorboard: str
) -> None:
    resize(browser, 1400, 1000)
    browser.get(f"{tensorboard}#scalars")
    assert sees(
        browser,
        "small/tensorboard/test/carry-0",
        "small/tensorboard/learning/ppo-0",
        "Return",
        "Execution",
        "Learner",
    )
    keep(browser, "tensorboard_scalars")
    browser.get(f"{tensorboard}#custom_scalars")
    assert sees(
        browser,
        "Return",
        "Risk",
        "Funding",
        "Execution",
        "Training",
        "growth above cash",
        "Matches (5)",
    )
    keep(browser, "tensorboard")
    browser.get(f"{tensorboard}#images")
    assert sees(browser, "Account", "Worst", "Response")  # the rest is on further pages
    assert until(lambda: browser.execute_script(DEEP_COUNT, "img") > 5, "pictures")
    keep(browser, "tensorboard_images")
    browser.get(f"{tensorboard}#hparams")
    assert sees(
        browser,
        "growth above the mean of the cash rates 2 % and 4.5 %",
        "agent",
        "zscore",
        "carry",
        "ppo",
    )
    keep(browser, "tensorboard_hparams")
    browser.get(f"{tensorboard}#text")
    assert sees(browser, "Cards/verdict", "On the test span")
    keep(browser, "tensorboard_text")


def follow_links(browser: Any) -> None:
    """Every link of the page brings its section into sight."""
    for link in browser.find_elements(By.CSS_SELECTOR, "nav a"):
        link.click()
        target = link.get_attribute("href").rsplit("#", 1)[1]
        until(
            lambda target=target: (
                -5
                <= browser.execute_script(
                    f"return document.getElementById('{target}').getBoundingClientRect().top"
                )
                < 900
            ),
            target,
        )


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_the_report_answers_to_clicks(browser: Any, small_run: Path, width: int) -> None:
    resize(browser, width)
    browser.get((small_run / "report.html").as_uri())
    until(
        lambda: len(browser.find_elements(By.CSS_SELECTOR, ".chart .main-svg")) >= 8, "eight charts"
    )
    root = "document.documentElement"
    assert browser.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth"), (
        "the page is wider than the screen"
    )

    def traces(chart: str) -> int:
        return len(browser.find_elements(By.CSS_SELECTOR, f"#{chart} .legend .traces"))

    assert traces("growth") == traces("falls") == 4
    assert traces("attribution") == 5
    assert traces("stress") == 4
    keep(browser, f"report_{width}")
    follow_links(browser)
    before = browser.find_element(By.CSS_SELECTOR, "#growth .scatterlayer").get_attribute(
        "innerHTML"
    )
    Select(browser.find_element(By.ID, "symbol")).select_by_visible_text("SYNTH-BTC-1")
    until(
        lambda: (
            browser.find_element(By.CSS_SELECTOR, "#growth .scatterlayer").get_attribute(
                "innerHTML"
            )
            != before
        ),
        "another symbol",
    )
    Select(browser.find_element(By.ID, "agent")).select_by_visible_text("zscore")
    shown = [
        one.get_attribute("data-agent")
        for one in browser.find_elements(By.CSS_SELECTOR, ".one")
        if one.is_displayed()
    ]
    assert shown == ["zscore"]
    everything = len(browser.find_elements(By.CSS_SELECTOR, "#trades tbody tr"))
    Select(browser.find_element(By.ID, "reason")).select_by_visible_text("exit")
    rows = browser.find_elements(By.CSS_SELECTOR, "#trades tbody tr")
    assert 0 < len(rows) < everything
    # on a phone the column may lie off the screen
    assert all("exit" in row.text for row in rows) or width == PHONE
    browser.execute_script("document.querySelector('#position').scrollIntoView()")
    keep(browser, f"report_{width}_inside")
    assert [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ] == []
