"""The pictures of the documents: rehearses as the tutorial does, and photographs the reports in a headless Chromium.

`python -m tests.site pictures` takes all of them anew; it needs chromium and chromedriver, and two minutes.
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
from PIL import Image
from selenium import webdriver

from tests.site.pages import ROOT
from tests.target.browser import headless

FOLDER: Final = ROOT / "docs" / "pictures"
WIDTH: Final = 1280
BYTES_MAX: Final = 200_000
_SMOKE: Final = ("smoke", "--seed", "7")
_BROKEN: Final = (*_SMOKE, "--no-chaos", "--users", "60", "--plant-bug", "lost_ack")


class Picture(msgspec.Struct, frozen=True):
    """What a picture shows: the first element that the selector finds in the report of that rehearsal, from its top."""

    rehearsal: tuple[str, ...]
    selector: str
    height_max: int = 1400


PICTURES: Final = {
    "verdict": Picture(_SMOKE, "header"),
    "timeline": Picture(_SMOKE, "#timeline"),
    "fault": Picture(_SMOKE, "#faults"),
    "counter-example": Picture(_BROKEN, "article.invariant:has(.violation)", height_max=370),
}
"""Name of the file in docs/pictures → what it shows."""


def take_all() -> None:
    """Rehearse, and write every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, headless() as driver:
        for number, rehearsal in enumerate(dict.fromkeys(one.rehearsal for one in PICTURES.values())):
            runs = Path(folder) / str(number)
            command = [sys.executable, "-m", "harness", "rehearse", *rehearsal, "--out", str(runs)]
            subprocess.run(command, cwd=ROOT, check=False, timeout=400)
            [report] = runs.glob("*/report.html")
            for name, picture in PICTURES.items():
                if picture.rehearsal == rehearsal:
                    (FOLDER / f"{name}.webp").write_bytes(photograph(driver, report, picture))


def photograph(driver: webdriver.Chrome, page: Path, picture: Picture) -> bytes:
    """The element as a WebP, as wide as the page: 1280 px."""
    metrics = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    )
    driver.get(page.as_uri())
    rect = driver.execute_script(
        "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return {top: r.top + scrollY, height: r.height}", picture.selector,
    )  # fmt: skip
    height = min(rect["height"], picture.height_max)
    clip = {"x": 0, "y": rect["top"], "width": WIDTH, "height": height, "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    taken = io.BytesIO()
    image.save(taken, "WEBP", lossless=True, method=6)
    return taken.getvalue()
