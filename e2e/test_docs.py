"""What the guides of docs/ tell people to do works, block by block (see `harness/guide.py`)."""

import re

import pytest

from harness.fresh import install
from harness.guide import DOCS, GuideError, read
from harness.reader import Reader
from harness.site import ROOT

#: What describes instead of guiding.
REFERENCES = {"architecture", "benchmarks", "protocol"}
#: What must not pass, and what is said of it.
UNTRIED = {
    "nothing says what to do": "```sh\nrm -r /\n```\n",
    "is nothing to do with": "<!-- output -->\n```sh\nls\n```\n",
    "must stand directly before": "<!-- run -->\nSome words.\n",
    "has no end": "<!-- run -->\n```sh\nls\n",
}
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
GUIDES = sorted({path.stem for path in DOCS.glob("*.md")} - REFERENCES)


@pytest.fixture(scope="module")
def readers_environment(wheel, tmp_path_factory):
    """An environment of the guides' own, since they install more than the wheel."""
    return install(wheel, tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def quick_start(readers_environment, wheel, playwright, tmp_path_factory):
    """The folder of a project in which the quick start was followed to its end."""
    folder = tmp_path_factory.mktemp("quick-start")
    reader = Reader(folder, readers_environment, wheel, playwright)
    try:
        reader.follow(read(DOCS / "quick-start.md"))
    finally:
        reader.leave()
    return folder


@pytest.fixture
def reader(tmp_path, readers_environment, wheel, playwright):
    """Someone who begins where the quick start ends."""
    someone = Reader(tmp_path, readers_environment, wheel, playwright)
    yield someone
    someone.leave()


def test_the_quick_start_leads_from_an_empty_folder_to_a_notification(quick_start):
    assert (quick_start / "gateway.toml").exists()


@pytest.mark.parametrize("name", [name for name in GUIDES if name != "quick-start"])
def test_a_guide_can_be_followed(name, reader, quick_start):
    reader.begin_with(quick_start)
    reader.follow(read(DOCS / f"{name}.md"))


@pytest.mark.parametrize("name", GUIDES)
def test_each_block_of_a_guide_says_what_to_do_with_it(name):
    steps = read(DOCS / f"{name}.md")  # Fails on one that does not.
    assert any(step.verb != "output" for step in steps), "nothing is tried"


@pytest.mark.parametrize("said", UNTRIED)
def test_a_block_that_would_go_untried_is_noticed(said, tmp_path):
    page = tmp_path / "guide.md"
    page.write_text(UNTRIED[said])
    with pytest.raises(GuideError, match=said):
        read(page)


#: The one piece of JavaScript that is shown more than once; `test_listen.py` tries it.
LISTEN = (DOCS / "listen.js").read_text()


PAGES = [ROOT / "README.md", ROOT / "python" / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = FENCED.sub("", page.read_text())
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", text):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page.name}: {path} has no #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_that_acts_upon_4001_is_the_one_that_is_tried(page):
    acting = [block for block in FENCED.findall(page.read_text()) if "location.href = " in block]
    assert all(block.startswith(f"```js\n{LISTEN}\nlisten(") for block in acting)
    begins_here = page.name in ("README.md", "quick-start.md") and page.parent.name != "python"
    assert acting or not begins_here


def anchors(page):
    """The names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
