"""The page in a browser, as on a phone and on a desk: nothing overflows, loads or goes wrong."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.study.page.pages import written

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WIDTHS = (320, 1280)
# Opens everything that is closed and says what the page then measures.
PROBE = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(element => element.open = true);
  const wide = [...document.querySelectorAll("body *")].filter(element =>
    !element.closest(".box") && element.getBoundingClientRect().right > innerWidth + 1);
  const found = {
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    wide: wide.slice(0, 5).map(element => element.outerHTML.slice(0, 80)),
    asked: performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 80))
      .filter(name => !name.startsWith("data:")),
    sticky: getComputedStyle(document.querySelector("td:first-child")).position,
    boxes: [...document.querySelectorAll(".box")].filter(b => b.scrollWidth > b.clientWidth).length,
    pictures: [...document.querySelectorAll("img")].every(image => image.naturalWidth > 0),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>"""
# A browser's window has a smallest width, a frame has none.
FRAME = """<body style="margin:0"><script>
addEventListener("message", event => {
  const place = document.createElement("pre");
  place.textContent = event.data;
  document.body.append(place);
});
</script><iframe src="SOURCE" style="width:WIDTHpx;height:900px;border:0"></iframe></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_in_a_browser(width: int, tmp_path: pathlib.Path) -> None:
    _, out = written()
    text = (out / "index.html").read_text().replace('loading="lazy"', "")
    probed, page = out / f"probe_{width}.html", out / f"frame_{width}.html"
    probed.write_text(text.replace("</body>", f"{PROBE}</body>"))
    page.write_text(FRAME.replace("SOURCE", probed.name).replace("WIDTH", str(width)))
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *("--enable-logging=stderr", "--virtual-time-budget=5000", f"--user-data-dir={tmp_path}"),
        *("--window-size=1400,1000", page.as_uri()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    finally:
        page.unlink()
        probed.unlink()
    assert "CONSOLE" not in done.stderr, done.stderr
    (found,) = re.findall("<pre>({.*?})</pre>", done.stdout)
    probe = json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert probe["inner"] == width and probe["asked"] == []
    assert probe["wide"] == [] and probe["scroll"] <= width
    assert probe["sticky"] == "sticky" and probe["pictures"]
    assert width > 320 or probe["boxes"] > 0  # what is too wide there scrolls in its own box
