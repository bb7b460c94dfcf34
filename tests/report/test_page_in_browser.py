"""The page in a real browser: no text is cut, phones need no sideways scrolling.

Needs Chromium or Chrome (Debian: apt-get install chromium).
"""

import json
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from bert_my.report import report
from tests.report import made_runs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"
)
# Added to a copy of the page only; it writes what the browser made of it.
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement;
  document.body.dataset.probe = JSON.stringify({
    pictures: [...document.querySelectorAll("figure svg")].map(svg => {
      const outer = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("text")].filter(text => {
        const inner = text.getBoundingClientRect();
        return inner.left < outer.left || inner.right > outer.right
          || inner.top < outer.top || inner.bottom > outer.bottom;
      }).map(text => text.textContent);
    }),
    overflow: root.scrollWidth - root.clientWidth,
  });
});</script>"""


def browse(tmp_path, path, *options):
    """Runs the browser on a file; returns its output."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--hide-scrollbars",
        *options,
        path.as_uri(),
    ]
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    return result.stdout.decode("utf-8")


@pytest.fixture
def chinese(tmp_path):
    """Path of the page of a run with Chinese labels, one of them long."""
    labels = ["国内政治新闻时事评论与分析", *made_runs.CHINESE[1:]]
    folder = made_runs.make_classification(tmp_path / "run", labels, 211)
    report.write(folder)
    return folder / "report" / "index.html"


@pytest.mark.parametrize("width", [1300, 500])
def test_texts_are_inside_their_pictures(tmp_path, chinese, width):
    copy = tmp_path / "copy.html"
    source = chinese.read_text(encoding="utf-8")
    copy.write_text(source.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    dom = browse(tmp_path, copy, f"--window-size={width},900", "--dump-dom")
    (probe,) = re.findall('data-probe="(.*?)"', dom)
    probe = json.loads(probe.replace("&quot;", '"'))
    assert probe["pictures"] == [[]] * 13
    assert probe["overflow"] == 0
    assert "财经" in dom and "国足1:0赢了比赛 &lt;b&gt;&amp; no. " in dom


def test_screenshot_shows_the_pictures(tmp_path, chinese):
    target = tmp_path / "shot.png"
    browse(tmp_path, chinese, "--window-size=1300,1500", f"--screenshot={target}")
    pixels = matplotlib.image.imread(str(target))[..., :3]
    assert pixels.shape[:2] == (1500, 1300)
    blue = np.array([0x00, 0x72, 0xB2]) / 255  # lines of the pictures
    assert (np.abs(pixels - blue).max(-1) < 0.02).sum() > 1000
