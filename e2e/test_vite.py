"""Vite's hot module replacement through the gateway, with no Vite configuration at all."""

import contextlib

import pytest

from harness.browser import log_in, wait_for_socket
from harness.wait import wait_until


@pytest.fixture
def vite_site(start_site):
    """A site whose frontend is a Vite dev server over a copy of the demo's files."""
    return start_site(vite=True)


def edit(site, name, old, new):
    """Saves a change, again where Vite's watcher overlooks it (it does so now and then)."""
    file = site.www / name
    text = file.read_text()
    assert old in text
    changed = text.replace(old, new).encode()
    before = len(site.vite.lines)

    def save():
        # In one piece: a watcher that looks between a truncation and what is written then sends an
        # empty file, and overlooks the rest.
        with file.open("r+b", buffering=0) as saved:
            saved.write(changed)
            saved.truncate()

    def noticed():
        return any("hmr update" in line or "reload" in line for line in site.vite.lines[before:])

    for _ in range(10):
        save()
        with contextlib.suppress(AssertionError):
            wait_until(noticed, "Vite notices the change", patience=2)
            return
    raise AssertionError(f"Vite never noticed that {name} changed:\n{site.vite.output()}")


def test_hmr_updates_the_page_without_a_reload_and_the_socket_stays_open(vite_site):
    page = vite_site.browser.visitor().new_page()
    with page.expect_console_message(lambda message: message.text == "[vite] connected."):
        log_in(page, vite_site.origin, "ann")
    page.evaluate("window.neverReloaded = true")

    edit(
        vite_site,
        "js/view.js",
        "Nothing yet. What is sent",
        "Edited just now. What is sent",
    )
    page.locator("#empty-text").get_by_text("Edited just now.").wait_for()
    edit(vite_site, "style.css", "--ground: #f4f2ec;", "--ground: rgb(1 2 3);")
    page.wait_for_function("getComputedStyle(document.body).backgroundColor === 'rgb(1, 2, 3)'")

    assert page.evaluate("window.neverReloaded") is True
    wait_for_socket(page, "open")
    assert page.locator("#wire li.event span").all_inner_texts() == ["open"]


def test_a_page_of_the_dev_server_reloads_when_its_html_changes(vite_site):
    page = vite_site.browser.visitor().new_page()
    with page.expect_console_message(lambda message: message.text == "[vite] connected."):
        page.goto(vite_site.origin)

    edit(vite_site, "index.html", "<title>Gatepost demo</title>", "<title>Edited</title>")

    page.wait_for_function("document.title === 'Edited'")
