"""Whether Gatepost's apps are installed as they must be.

Django itself refuses two apps of one label before any check runs; what it lets pass is a command of
the same name.
"""

import pkgutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import get_commands, load_command_class
from django.db import connections

import gatepost
from gatepost.checks.declared import value

_OUTBOX = "gatepost.outbox"


def check_commands(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E007: another app has a command of the same name, which is the one that runs."""
    found = get_commands()
    return [
        Error(
            f"The command {name!r} of the app {found[name]!r} hides Gatepost's.",
            hint=f"Put 'gatepost' before {found[name]!r} in INSTALLED_APPS, or rename the command.",
            id="gatepost.E007",
        )
        for name in _commands()
        if not _is_ours(name, str(found[name]))
    ]


def _commands() -> Iterator[str]:
    from gatepost.management import commands

    return (module.name for module in pkgutil.iter_modules(commands.__path__))


def _is_ours(name: str, app: str) -> bool:
    """Return whether a command is Gatepost's, or a project's own that builds on it."""
    if app == gatepost.__name__:
        return True
    theirs, ours = load_command_class(app, name), load_command_class(gatepost.__name__, name)
    return isinstance(theirs, type(ours))


def check_auth(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E008: without django.contrib.auth and contenttypes nobody can be logged in."""
    needed = ("django.contrib.auth", "django.contrib.contenttypes")
    missing = [name for name in needed if not apps.is_installed(name)]
    if not missing:
        return []
    return [
        Error(
            f"{' and '.join(missing)} not installed: the gateway asks Django who is logged in, and"
            " Django's users are there.",
            hint=f"Add {', '.join(map(repr, missing))} to INSTALLED_APPS and run `migrate`.",
            id="gatepost.E008",
        )
    ]


def check_outbox(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W012: the transactional outbox is asked for, but not installed."""
    if not _asks_for_outbox() or apps.is_installed(_OUTBOX):
        return []
    return [
        Warning(
            f"GATEPOST asks for the transactional outbox, but {_OUTBOX} is not installed: nothing"
            " can be stored.",
            hint=f"Add {_OUTBOX!r} to INSTALLED_APPS and run `manage.py migrate`.",
            id="gatepost.W012",
        )
    ]


def check_tables(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """gatepost.W012: its tables are missing. Run where databases are named: ``--database``."""
    if sys.argv[1:2] == ["migrate"]:
        return []  # It asks before it makes them.
    alias = str(value("DATABASE"))
    if not (_asks_for_outbox() and apps.is_installed(_OUTBOX) and alias in (databases or ())):
        return []
    there = connections[alias].introspection.table_names()
    models = apps.get_containing_app_config(_OUTBOX).get_models()
    missing = [model._meta.db_table for model in models if model._meta.db_table not in there]
    if not missing:
        return []
    return [
        Warning(
            f"The tables of the transactional outbox are missing from {alias!r}:"
            f" {', '.join(missing)}.",
            hint=f"Run `manage.py migrate --database {alias}`.",
            id="gatepost.W012",
        )
    ]


def _asks_for_outbox() -> bool:
    backend = value("BACKEND")
    return "outbox" in str(backend) if backend else bool(value("OUTBOX"))
