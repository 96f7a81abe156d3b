"""The channel layer for projects that come from Django Channels.

``CHANNEL_LAYERS`` names ``gatepost.channels.GatepostChannelLayer``; every ``group_send`` of the
project then reaches the gateway's sockets. From the outside in: ``layer`` is what Channels calls,
``names`` says who is in a group and which consumer writes its frames, ``rendering`` lets that
consumer write them. Channels is no dependency of Gatepost. Only a project that imports this package
needs it (``pip install "gatepost[channels]"``).
"""

try:
    import channels as _channels  # noqa: F401 - looked for, to say what is missing
except ModuleNotFoundError as error:
    if error.name != "channels":
        raise
    raise ModuleNotFoundError(
        "gatepost.channels is a channel layer for Django Channels, which is not installed here:"
        ' pip install "gatepost[channels]". Without Channels, call gatepost.notify() instead.',
        name="channels",
    ) from None

from gatepost.channels.layer import GatepostChannelLayer
from gatepost.channels.names import channel_name
from gatepost.channels.rendering import RenderError

__all__ = ["GatepostChannelLayer", "RenderError", "channel_name"]
