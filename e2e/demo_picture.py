"""Makes docs/images/demo.png: two tabs of the real demo, before and after a logout in one of them.

`make picture` runs it.
"""

import base64
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from harness.browser import Browser, log_in, send, wait_for_socket, wait_for_title
from harness.site import ROOT
from test_demo import Demo

PICTURE = ROOT / "docs" / "images" / "demo.png"
TAB = {"width": 1000, "height": 600}

PAGE = """<!doctype html><style>
body {{ margin: 0; padding: 24px; background: #e9edf2; color: #1d2733;
  font: 600 17px "DejaVu Sans", sans-serif }}
main {{ display: grid; grid-template-columns: 1fr 1fr; gap: 14px 24px; width: 1344px }}
p {{ margin: 0 }} p.wide {{ grid-column: 1 / 3; margin-top: 6px }}
img {{ width: 660px; border-radius: 8px; box-shadow: 0 2px 14px #0003; display: block }}
</style><main>
<p class="wide">1. Two tabs of one session. A plain Django view calls notify(user, …).</p>
<img src="{before_first}"><img src="{before_second}">
<p class="wide">2. The right tab logs out. The left one is told at once, with no code in Django.</p>
<img src="{after_first}"><img src="{after_second}">
</main>"""


def shot(page):
    """What a tab shows from its top, as a data URL."""
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    shot = page.screenshot(animations="disabled")
    return "data:image/png;base64," + base64.b64encode(shot).decode()


def take(browser, origin):
    """Plays the two scenes; returns the four pictures by name."""
    person = browser.visitor()
    first, second = person.new_page(), person.new_page()
    for page in (first, second):
        page.set_viewport_size(TAB)
    log_in(first, origin, "ann")
    second.goto(f"{origin}/")
    wait_for_socket(second, "open")
    send(second, "user:ann", "Lunch is ready", "Soup today, in the small kitchen.")
    wait_for_title(first, "Lunch is ready")
    wait_for_title(second, "Lunch is ready")
    pictures = {"before_first": shot(first), "before_second": shot(second)}
    second.click("#logout")
    wait_for_socket(first, "closed", 4001)
    second.wait_for_selector("#signed-out:visible")
    return pictures | {"after_first": shot(first), "after_second": shot(second)}


def main():
    """Starts the demo, takes the pictures, and puts them on one page."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        demo = Demo(Path(folder))
        try:
            origin, ca_file = demo.wait_for_url()
            browser = Browser(driver, Path(folder), ca_file)
            pictures = take(browser, origin)
            page = browser.visitor().new_page()
            page.set_content(PAGE.format(**pictures))
            page.set_viewport_size({"width": 1392, "height": 600})
            PICTURE.parent.mkdir(exist_ok=True)
            page.screenshot(path=PICTURE, full_page=True)
            browser.close()
        finally:
            demo.process.stop()


if __name__ == "__main__":
    main()
