"""Debian's Chromium, headless, with a home of its own in which the local CA is trusted."""

import os
import subprocess

from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

CHROMIUM = "/usr/bin/chromium"
# As root in a sandboxed machine without a GPU; the rest keeps Chromium from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Browser:
    """Each `visitor()` is a person: cookies of their own, any number of tabs."""

    def __init__(self, playwright, home, ca_file):
        trust(home, ca_file)
        self._chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, env=os.environ | {"HOME": str(home)}
        )

    def visitor(self):
        """A fresh browser context."""
        context = self._chromium.new_context()
        context.set_default_timeout(20_000)
        return context

    def close(self):
        """Ends the browser."""
        self._chromium.close()


def trust(home, ca_file):
    """Imports the CA into the certificate database that Chromium reads below its HOME."""
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{database}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    subprocess.run([*certutil, "-A", "-n", "Gatepost", "-t", "C,,", "-i", str(ca_file)], check=True)


def log_in(page, origin, name):
    """Through the stock login form, as a person would; ends on the board with an open socket."""
    page.goto(f"{origin}/accounts/login/?next=/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", f"{name}-gatepost")
    page.click("form button")
    page.wait_for_url(f"{origin}/")
    page.wait_for_selector(f"#user-name:text-is('{name}')")
    wait_for_socket(page, "open")


def wait_for_socket(page, phase, code=None):
    """Waits until the page shows its socket in this phase, closed with this code."""
    wanted = f"#socket[data-phase={phase}]" + (f'[data-code="{code}"]' if code else "")
    try:
        page.wait_for_selector(wanted)
    except PlaywrightTimeoutError as error:
        shown = page.evaluate("() => ({...document.querySelector('#socket')?.dataset})")
        raise AssertionError(f"{page.url} shows {shown}, not {wanted}") from error


def send(page, to, title, message="hello"):
    """Fills in the board's form and sends it."""
    page.select_option("#send-to", to)
    page.fill("#send-form [name=title]", title)
    page.fill("#send-form [name=message]", message)
    page.click("#send")
    page.wait_for_selector("#send-status:text-is('Sent.')")


def titles(page):
    """The titles of the notifications on the page, newest first."""
    return page.locator(".note-title").all_inner_texts()


def wait_for_title(page, title):
    """Waits until a notification with this title is on the page."""
    page.locator(".note-title").get_by_text(title, exact=True).wait_for()
