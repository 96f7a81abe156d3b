"""Views of ``@gatepost.socket`` and the routes that ask them: each needs the other."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning

from gatepost.program import gateway_toml, socket_views


def check_views(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W044 and W045: a view without a route, a route without a view."""
    routes = gateway_toml.socket_routes()
    if not routes:
        return []  # Not known, or there are none yet.
    views = socket_views.find()
    asked = {socket_views.bare(route["path"]) for route in routes if route.get("view") is True}
    return [*_without_route(views, asked), *_without_view(views, asked)]


def _without_route(views: list[socket_views.SocketView], asked: set[str]) -> Iterator[CheckMessage]:
    for view in views:
        if view.path is None:
            yield Warning(
                f"A view of @gatepost.socket stands at {view.pattern!r}, which no route of"
                " gateway.toml can be: a route is a path, and a segment in braces any one.",
                hint="Give it a path such as ws/orders/<int:pk>/, outside of i18n_patterns.",
                id="gatepost.W044",
            )
        elif socket_views.bare(view.path) not in asked:
            yield Warning(
                f"A view of @gatepost.socket stands at {view.path}, and no route of gateway.toml"
                " asks it.",
                hint=f'[[sockets]] path = "{view.path}" view = true',
                id="gatepost.W044",
            )


def _without_view(views: list[socket_views.SocketView], asked: set[str]) -> Iterator[CheckMessage]:
    known = {socket_views.bare(view.path) for view in views if view.path is not None}
    if any(view.path is None for view in views):
        return  # It may be one of those.
    for path in sorted(asked - known):
        yield Warning(
            f"The route {path} of gateway.toml has `view = true`, and there is no view of"
            " @gatepost.socket at that path: its sockets are closed 4003.",
            hint="Decorate the view with @gatepost.socket, and write the path as urls.py has it.",
            id="gatepost.W045",
        )
