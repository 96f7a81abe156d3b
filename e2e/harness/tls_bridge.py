"""A plain TCP port that leads to the gateway's TLS port: the conformance suite speaks no TLS."""

import asyncio
import contextlib
import ssl

PIECE = 64 * 1024


@contextlib.asynccontextmanager
async def tls_bridge(https_port, ca_file):
    """Yields the plain port; each connection gets a verified TLS connection of its own."""
    context = ssl.create_default_context(cafile=str(ca_file))

    async def bridge(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("localhost", https_port, ssl=context)
        outward = asyncio.ensure_future(pump(reader, far_writer))
        # The gateway ends the connection, as a server does after the closing handshake.
        await pump(far_reader, writer)
        outward.cancel()
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(bridge, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def pump(reader, writer):
    """Copies until the end of one direction."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
