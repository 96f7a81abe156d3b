"""The targets of the commands, as people type them."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from gatepost.sending import targets
from gatepost.sending.topics import Topic

#: What ``gateway_publish`` takes.
FORMS = (
    "user:42, username:ann, group:staff, topic:shop.order:17, session:<digest>, connection:<id> or"
    " everyone"
)


def parse_target(text: str) -> tuple[str, str]:
    """Split ``kind:name``; for argparse."""
    kind, colon, name = text.partition(":")
    known = {form.partition(":")[0] for form in FORMS.replace(" or ", ", ").split(", ")}
    if kind not in known or bool(name) == (kind == "everyone") or (colon and not name):
        raise ArgumentTypeError(f"{text!r} is not one of {FORMS}")
    return kind, name


def audience(kind: str, name: str) -> dict[str, Any]:
    """Return a target as the gateway's API names it."""
    if kind == "everyone":
        return {"everyone": True}
    if kind == "username":
        return {"user": _user_id(_user_named(name))}
    if kind == "topic":
        return {"topic": topic_name(name)}
    return {kind: _user_id(name) if kind == "user" else name}


def topic_name(name: str) -> str:
    """Return the name of a topic as it is, or say why it is none."""
    try:
        return Topic.named(name).name
    except ValueError as error:
        raise CommandError(f"{error}.") from error


def add_user_options(parser: ArgumentParser, *, what: str) -> None:
    """Add ``--user`` and ``--username``, of which one may be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--user", metavar="KEY", help=f"{what} of the user with this primary key")
    group.add_argument("--username", metavar="NAME", help=f"{what} of the user of this name")


def user_option(options: dict[str, Any]) -> str | None:
    """Return the id of the user that was given by key or by name."""
    if options["username"] is not None:
        return _user_id(_user_named(options["username"]))
    return _user_id(options["user"]) if options["user"] is not None else None


def _user_named(name: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist as error:
        raise CommandError(f"There is no user {name!r}.") from error


def _user_id(user: Any) -> str:
    try:
        return str(targets.user_id(user))
    except ValueError as error:
        raise CommandError(f"{error}. To name a user by name, use `username`.") from error
