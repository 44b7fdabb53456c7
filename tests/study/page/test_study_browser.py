"""The page in a browser, on a phone and on a desk: nothing overflows, is asked for or goes wrong."""

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
  const place = document.createElement("pre");
  place.id = "probe";
  place.textContent = JSON.stringify(found);
  document.body.append(place);
});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_in_a_browser(width: int, tmp_path: pathlib.Path) -> None:
    _, out = written()
    text = (out / "index.html").read_text().replace('loading="lazy"', "")
    page = out / f"probe_{width}.html"
    page.write_text(text.replace("</body>", f"{PROBE}</body>"))
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *("--enable-logging=stderr", "--virtual-time-budget=5000", f"--user-data-dir={tmp_path}"),
        *(f"--window-size={width},900", page.as_uri()),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    finally:
        page.unlink()
    assert "CONSOLE" not in done.stderr, done.stderr
    (found,) = re.findall(r'<pre id="probe">(.*?)</pre>', done.stdout)
    probe = json.loads(found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert probe["inner"] == width and probe["asked"] == []
    assert probe["wide"] == [] and probe["scroll"] <= width
    assert probe["sticky"] == "sticky" and probe["pictures"]
    assert width > 320 or probe["boxes"] > 0  # what is too wide there scrolls in its own box
