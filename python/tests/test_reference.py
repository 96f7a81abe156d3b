"""docs/settings.md names everything that there is to set, with its default, and no more."""

import ast
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import gatepost
from gatepost import conf
from gatepost.channels import GatepostChannelLayer
from gatepost.management import commands
from gatepost.outbox.management import commands as outbox_commands

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def rows(heading):
    """The tables' rows below a heading, each a list of its cells."""
    section = REFERENCE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [
        line
        for line in section.splitlines()
        if line.startswith("| `") and "manage.py …" not in line
    ]
    assert lines, f"docs/settings.md has no table below {heading!r}"
    return [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]


def code(cell):
    """The first thing of a cell that is written as code."""
    return re.search(r"`([^`]+)`", cell)[1]


def test_each_key_of_gatepost_is_described_with_its_default():
    written = {code(row[0]): ast.literal_eval(code(row[1])) for row in rows("`GATEPOST`")}
    assert written == conf.DEFAULTS


def test_each_key_of_the_channel_layer_is_described_with_its_default():
    taken = inspect.signature(GatepostChannelLayer).parameters
    base = {"expiry", "capacity", "channel_capacity"}
    defaults = {
        name: parameter.default
        for name, parameter in taken.items()
        if name not in base and parameter.kind is parameter.KEYWORD_ONLY
    }
    written = {code(row[0]): ast.literal_eval(code(row[1])) for row in rows("`CHANNEL_LAYERS`")}
    assert written == defaults


def test_each_system_check_is_described():
    sources = Path(gatepost.__file__).parent.rglob("*.py")
    given = {id for path in sources for id in re.findall(r'id="(\w+\.[EW]\d+)"', path.read_text())}
    assert {code(row[0]) for row in rows("System checks")} == given


@pytest.mark.parametrize("deploy", [True, False])
def test_what_only_runs_with_deploy_is_said_to(deploy):
    ids = {code(row[0]) for row in rows("System checks") if ("--deploy" in row[1]) is deploy}
    assert (ids == {"gatepost.W020", "gatepost.W021"}) is deploy


def test_each_command_is_described():
    there = [*pkgutil.iter_modules(commands.__path__)]
    there += pkgutil.iter_modules(outbox_commands.__path__)
    described = {code(row[0]).split()[0] for row in rows("Commands")}
    assert described == {module.name for module in there}
