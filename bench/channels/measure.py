"""Channels behind nginx and Gatepost in front of gunicorn, weighed in one run with one load client.

The load client is this process, on the last core; all servers and the publishing process share the
first. Sites take turns, so that what the machine does besides meets both.
"""

import argparse
import asyncio
import contextlib
import os
import ssl
import statistics
import sys
import tempfile
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from sites import Site, make_site_files

#: Then all have to arrive: Channels drops what exceeds 100 waiting messages.
PUBLISHED_AT_ONCE = 50
CONNECTING_AT_ONCE = 16
#: Users who are connected before anything is measured.
WARMING = 40


class Crowd:
    """The sockets of all users; counts what arrives."""

    def __init__(self, site, sessions):
        self.site, self.sessions, self.open = site, sessions, []
        self.received, self.wanted, self.arrived = 0, 0, asyncio.Event()
        self.tls = ssl.create_default_context(cafile=site.folder / "site.pem")

    async def connect(self):
        """Opens them; each has had the answer to a ping, and so is known to be somebody's."""
        turn, port = asyncio.Semaphore(CONNECTING_AT_ONCE), self.site.ports["https"]

        async def one(number, key):
            async with turn:
                ws = await connect(
                    f"wss://localhost:{port}/ws/notifications/",
                    host="127.0.0.1",
                    port=port,
                    local_addr=(f"127.0.10.{number % 100 + 1}", 0),
                    ssl=self.tls,
                    origin=f"https://localhost:{port}",
                    additional_headers={"Cookie": f"sessionid={key}"},
                    compression=None,
                    ping_interval=None,
                    open_timeout=60,
                )
                await ws.send('{"type":"ping"}')
                assert "pong" in await asyncio.wait_for(ws.recv(), 60)
                self.open.append((ws, asyncio.create_task(self._read(ws))))

        await asyncio.gather(*(one(*numbered) for numbered in enumerate(self.sessions)))

    async def _read(self, ws):
        with contextlib.suppress(ConnectionClosed):  # What is lost by it is seen in what arrives.
            async for _ in ws:
                self.received += 1
                if self.received >= self.wanted:
                    self.arrived.set()

    async def publish(self, words, frames):
        """Has words published, and waits until the frames are here."""
        self.wanted = self.received + frames
        self.arrived.clear()
        await asyncio.to_thread(self.site.publish, words)
        try:
            await asyncio.wait_for(self.arrived.wait(), 60)
        except TimeoutError:
            lost = self.wanted - self.received
            sys.exit(f"{self.site.name}: {lost} of {frames} frames were lost: {self.site.log()}")

    async def close(self):
        for ws, _ in self.open:
            ws.transport.abort()
        await asyncio.gather(*(task for _, task in self.open), return_exceptions=True)
        self.open.clear()


async def measure(site, sessions, options):
    """The figures of one site, in the order of the table."""
    users = options.sockets
    await warm(site, sessions[users:])
    crowd, memory, cpu = Crowd(site, sessions[:users]), site.memory(), site.cpu()
    await crowd.connect()
    connecting = site.cpu() - cpu
    await asyncio.sleep(3)
    memory = site.memory() - memory
    targeted = await cpu_of_targeted(crowd, options.publishes)
    in_a_loop = await cpu_of_targeted(crowd, options.publishes, "async")
    cpu = site.cpu()
    for _ in range(options.broadcasts):
        await crowd.publish(["everyone"], users)
    broadcast = site.cpu() - cpu
    await crowd.close()
    return (
        memory / users,
        connecting / users * 1e3,
        targeted / options.publishes * 1e6,
        in_a_loop / options.publishes * 1e6,
        broadcast / options.broadcasts / users * 1e6,
    )


async def warm(site, sessions):
    """Uses everything once: what is imported or allocated only then is no connection's."""
    crowd = Crowd(site, sessions)
    await crowd.connect()
    await crowd.publish(["everyone"], len(sessions))
    await crowd.publish(["async", "everyone"], len(sessions))
    await crowd.close()
    await asyncio.sleep(2)


async def cpu_of_targeted(crowd, number, *how):
    """CPU seconds of publications to one user each."""
    cpu, users = crowd.site.cpu(), len(crowd.sessions)
    for start in range(0, number, PUBLISHED_AT_ONCE):
        end = min(start + PUBLISHED_AT_ONCE, number)
        words = [count % users + 1 for count in range(start, end)]
        await crowd.publish([*how, *words], len(words))
    return crowd.site.cpu() - cpu


#: With the figures' decimals.
FIGURES = {
    "KiB of PSS per idle connection": 1,
    "CPU ms per connect, authenticated": 2,
    "CPU µs per targeted publish": 0,
    "the same from one event loop": 0,
    "CPU µs per broadcast frame": 1,
}


def table(runs, options):
    """Median, minimum and maximum of each figure, and how many times as much Channels takes."""
    machine = f"{os.cpu_count()} cores, Linux {os.uname().release}, Python {sys.version.split()[0]}"
    said = f"{options.sockets} sockets, {options.repetitions} repetitions, {machine}"
    lines = [
        f"{said}\n",
        "| figure | Channels | min - max | Gatepost | min - max | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for place, (figure, decimals) in enumerate(FIGURES.items()):
        cells, medians = [], []
        for name in ("channels", "gatepost"):
            values = [run[place] for run in runs[name]]
            medians.append(statistics.median(values))
            shown = (f"{value:.{decimals}f}" for value in (medians[-1], min(values), max(values)))
            cells.append("{} | {} - {}".format(*shown))
        lines.append(f"| {figure} | {cells[0]} | {cells[1]} | {medians[0] / medians[1]:.1f} |")
    return "\n".join(lines)


def main():
    """Measures both in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="200 sockets, once: to see that all works"
    )
    parser.add_argument("--sockets", type=int, default=1000, help="each of a user of its own")
    parser.add_argument("--publishes", type=int, default=2000, help="to one user each")
    parser.add_argument("--broadcasts", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--gateway", type=Path, required=True, help="a release binary")
    parser.add_argument("--output", type=Path, help="a file for the table")
    options = parser.parse_args()
    if options.quick:
        options.sockets, options.repetitions = 200, 1
    runs = {"channels": [], "gatepost": []}
    with tempfile.TemporaryDirectory(prefix="gatepost-bench-") as folder:
        sessions = make_site_files(Path(folder), options.sockets + WARMING)
        os.sched_setaffinity(0, {os.cpu_count() - 1})
        for repetition in range(options.repetitions):
            for name, found in runs.items():
                with Site(name, Path(folder), options.gateway.resolve()) as site:
                    found.append(asyncio.run(measure(site, sessions, options)))
                shown = "  ".join(f"{value:.2f}" for value in found[-1])
                print(f"{repetition + 1} {name:<9} {shown}", file=sys.stderr, flush=True)
    print(text := table(runs, options))
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
