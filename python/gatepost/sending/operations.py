"""What an operator does and wants to see the outcome of: the commands and the admin call this.

Unlike ``notify`` and ``revoke`` nothing waits for a commit or goes through a backend, and a gateway
that is away raises :class:`gatepost.GatewayError`. So does a test that has not chosen a gateway:
nothing of it may reach real browsers.
"""

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gatepost import backends, conf
from gatepost.sending import client
from gatepost.sending.calls import NOT_LOGGED_IN, Publication, TopicRevocation, encode

_JSON = "application/json"

#: Shown in place of a user whose connection has none: a visitor at a route that keeps them.
VISITOR = "(visitor)"


@dataclass(frozen=True)
class Delivery:
    """How many connections got a frame, and how many of the addressed users had none."""

    sockets: int
    offline: int


def publish(to: dict[str, Any], frame: Any, **options: str | None) -> Delivery:
    """Publish a frame now. ``to`` and the options are as ``POST /v1/publish`` takes them."""
    name = options.pop("id", None) or uuid.uuid4().hex
    body = Publication(to, encode(frame), name, **_chosen(options)).json().encode()
    said = [_post("/v1/publish", body, url) for url in _urls()]
    # Each gateway counts its own connections; a user is offline only if offline at all of them.
    return Delivery(
        sockets=sum(int(one.get("sockets", 0)) for one in said),
        offline=min((int(one.get("offline", 0)) for one in said), default=0),
    )


def _chosen(options: dict[str, str | None]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def revoke(who: dict[str, Any], *, code: int = NOT_LOGGED_IN, reason: str) -> int:
    """Close connections now; return how many. ``who`` is as ``POST /v1/revoke`` takes it."""
    body = encode({**who, "code": code, "reason": reason}).encode()
    said = [_post("/v1/revoke", body, url) for url in _urls()]
    return sum(int(one.get("closed", 0)) for one in said)


def unsubscribe(topic: str, user: str | None = None) -> int:
    """End subscriptions to a topic now, of one user or of all; return how many."""
    who = {"topic": topic, **({"user": user} if user is not None else {})}
    call = TopicRevocation(who, "revoked", max_age=conf.topic_max_age())
    said = [_post("/v1/revoke", call.json().encode(), url) for url in _urls()]
    return sum(int(one.get("unsubscribed", 0)) for one in said)


def connections(user: str | None = None, *, topic: str | None = None) -> list[dict[str, Any]]:
    """Return the open connections, of all, of one user or of a topic's listeners, oldest first."""
    asked = {name: value for name, value in (("user", user), ("topic", topic)) if value is not None}
    query = f"?{urlencode(asked)}" if asked else ""
    found: list[dict[str, Any]] = []
    for url in _urls():
        said = client.get(f"/v1/connections{query}", url=url).json().get("connections")
        found += [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return sorted(found, key=lambda one: int(one.get("since") or 0))


def begin_maintenance(message: str | None = None, allow: list[str] | None = None) -> list[str]:
    """Have gateways answer 503, but to these networks; return what an operator should know."""
    order = {"on": True, "allow": allow or []}
    return _ordered("/v1/maintenance", {**order, **_chosen({"message": message})})


def end_maintenance() -> list[str]:
    """End it; return what an operator should know."""
    return _ordered("/v1/maintenance", {"on": False})


def pause(length: str) -> None:
    """Have requests wait; ``length`` is such as ``60s``, after which the pause ends by itself."""
    _ordered("/v1/pause", {"on": True, "for": length})


def resume() -> None:
    """End a pause."""
    _ordered("/v1/pause", {"on": False})


def reload() -> None:
    """Have gateways read their configuration again."""
    _ordered("/v1/reload", {})


def _ordered(path: str, order: dict[str, Any]) -> list[str]:
    body = encode(order).encode()
    said = [_post(path, body, url) for url in _urls()]
    return [str(one["warning"]) for one in said if "warning" in one]


def _urls() -> list[str]:
    if backends.is_cut_off():
        raise client.GatewayError(
            "no gateway is called in tests. For one of the test's own use live_gateway or"
            " LiveGatewayTestCase; for another, override GATEPOST['BACKEND'] in the test with"
            f" {backends.HTTP!r}."
        )
    return client.urls()


def _post(path: str, body: bytes, url: str) -> dict[str, Any]:
    return client.post(path, body, content_type=_JSON, url=url).json()
