"""What ``@gatepost.socket`` leaves on a view, by which it is known elsewhere."""

from typing import Any

#: The attribute: its :class:`SocketOptions`.
MARK = "gatepost_socket"


class SocketOptions:
    """What a view said of itself."""

    def __init__(self, *, anonymous: bool) -> None:
        #: Whether visitors may listen.
        self.anonymous = anonymous


def options_in(view: Any) -> SocketOptions | None:
    """Return what is marked on a view, or on the method of its class that is decorated."""
    method = getattr(getattr(view, "view_class", None), "get", None)
    found: SocketOptions | None = getattr(view, MARK, None) or getattr(method, MARK, None)
    return found
