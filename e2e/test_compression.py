"""Compressed answers in Chromium, of a Django behind gunicorn."""

import pytest

from harness.browser import log_in
from harness.site import Site
from harness.wait import wait_until

FETCH = """async ([path, options]) => {
    const answer = await fetch(path, options);
    const text = await answer.text();
    const field = (name) => answer.headers.get(name);
    return {
        encoding: field("content-encoding"), etag: field("etag"), vary: field("vary"),
        lines: text.split("\\n").length, end: text.trimEnd().slice(-22),
    };
}"""
LAST = "line 1999 of 3996001</p>"[-22:]


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    running = Site(tmp_path_factory.mktemp("site"), playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def visitor(site):
    """A page of this origin that nobody is logged in to."""
    context = site.browser.visitor()
    page = context.new_page()
    page.goto(f"{site.origin}/api/probe/request/")
    yield page
    context.close()


def fetch(page, path, **options):
    return page.evaluate(FETCH, [path, options])


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip"])
def test_chromium_reads_every_encoding(visitor, encoding):
    visitor.context.set_extra_http_headers({"Accept-Encoding": encoding})

    got = fetch(visitor, "/api/probe/text/", cache="no-store")

    assert (got["encoding"], got["lines"], got["end"]) == (encoding, 2002, LAST)
    assert "accept-encoding" in got["vary"].lower()


def test_by_itself_chromium_gets_zstd(visitor):
    assert fetch(visitor, "/api/probe/text/", cache="no-store")["encoding"] == "zstd"


def test_what_the_cache_has_compressed_is_confirmed_by_django(site, visitor):
    first = fetch(visitor, "/api/probe/text/")
    before = site.asked("GET /api/probe/text/ 304")

    again = fetch(visitor, "/api/probe/text/", cache="no-cache")

    assert first["etag"].startswith('W/"')
    assert (again["lines"], again["end"]) == (2002, LAST)
    wait_until(lambda: site.asked("GET /api/probe/text/ 304") == before + 1, "Django says 304")


def test_what_django_has_compressed_is_not_compressed_again(visitor):
    got = fetch(visitor, "/api/probe/gzipped/", cache="no-store")

    assert (got["encoding"], got["lines"], got["end"]) == ("gzip", 2002, LAST)


def test_pages_of_a_user_are_left_alone(site):
    context = site.browser.visitor()
    page = context.new_page()
    log_in(page, site.origin, "ann")

    got = fetch(page, "/api/probe/text/", cache="no-store")

    assert (got["encoding"], got["end"]) == (None, LAST)
    assert not got["etag"].startswith("W/")
    context.close()


def test_a_piece_arrives_before_the_next_is_written(visitor, tmp_path):
    until = tmp_path / "go"
    begin = """async (path) => {
        const answer = await fetch(path);
        const words = new TextDecoder();
        window.reader = answer.body.getReader();
        window.read = async () => {
            const { value, done } = await reader.read();
            return done ? null : words.decode(value);
        };
        return [answer.headers.get("content-encoding"), await read()];
    }"""

    first = visitor.evaluate(begin, f"/api/probe/pieces/?until={until}")
    until.touch()

    assert first == ["zstd", "<p>one</p>"]
    assert visitor.evaluate("() => read()") == "<p>two</p>"
    assert visitor.evaluate("() => read()") is None
