"""What the consumers that a channel layer's ``RENDER`` names lose without their connections.

Where a handler decides for each connection whether to pass an event on, no hint suggests to send
that event. Who may see it has to be decided where it is sent, by ``notify(queryset, …)``.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string


def check_consumers(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.E030, W030 to W032: consumers of RENDER that are missing, or need a connection."""
    found: dict[str, CheckMessage] = {}
    for alias, config in _ours():
        for message in _of_layer(alias, config):
            found.setdefault(message.msg, message)
    return list(found.values())


def _ours() -> Iterator[tuple[str, dict[str, Any]]]:
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    for alias, said in layers.items():
        path = said.get("BACKEND", "")
        # Channels is asked for only where the project has it.
        if _is_ours(path):
            yield alias, said.get("CONFIG") or {}


def _is_ours(path: str) -> bool:
    try:
        layer = import_string(path)
        from gatepost.channels import GatepostChannelLayer
    except Exception:
        return False  # Channels says so itself.
    return isinstance(layer, type) and issubclass(layer, GatepostChannelLayer)


def _of_layer(alias: str, config: dict[str, Any]) -> Iterator[CheckMessage]:
    from gatepost.channels.inspecting import inspect_consumer
    from gatepost.channels.names import Consumers

    try:
        consumers = Consumers(config.get("RENDER")).all()
    except ImproperlyConfigured as error:
        hint = "Until then events of these groups are only logged, and reach nobody."
        yield Error(f"CHANNEL_LAYERS[{alias!r}]: {error}.", hint=hint, id="gatepost.E030")
        return
    for consumer in consumers:
        yield from _messages(consumer.__name__, inspect_consumer(consumer))


def _messages(name: str, found: Any) -> Iterator[CheckMessage]:
    for one in found.readings:
        through = f", in {one.through}()," if one.through else ""
        yield Warning(
            f"{name}.{one.handler}() reads {one.what}{through} which only a connection has: the"
            " gateway holds the connections, so events that come there are logged and not sent.",
            hint=(
                "If it decides who may see an event, let the producer decide: notify(queryset,"
                " frame) instead of group_send(). If it is only what the frame says, put it into"
                " the event."
            ),
            id="gatepost.W030",
        )
    for method in found.receives:
        yield Warning(
            f"{name}.{method}() is not called: a browser may send the gateway pings alone, and"
            " everything else closes its socket (1008).",
            hint=(
                "Take it by an ordinary view and fetch(), or let the consumer's path stay with"
                " the ASGI server ([[upstreams]] in gateway.toml)."
            ),
            id="gatepost.W031",
        )
    if found.turns_away:
        yield Warning(
            f"{name}.connect() turns some connections away, and is not called: the gateway takes"
            " everybody who is logged in.",
            hint=(
                "Say who is in a group by Django's groups or GATEPOST['GROUPS'], and send to it"
                " with Group(name); or name the users: notify(queryset, frame)."
            ),
            id="gatepost.W032",
        )
