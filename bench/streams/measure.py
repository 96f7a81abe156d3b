"""How soon one sync worker answers pages while streams that it has handed over are open.

`measure.py [STREAMS]`: so many, 1,000 by default. Then one publication goes to all of them. Started
by `run`, with the tests' own harness.
"""

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from test_streams import Stream, Sync, say

PAGES = 200


def pages(site):
    """The times of some pages, in milliseconds, of which 95 of 100 are below the last one."""
    times = []
    for _ in range(PAGES):
        status, took = site.page()
        assert status == 200, status
        times.append(took * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def measure(site, count):
    """Prints what pages cost before and beside the streams, and what reaching all of them takes."""
    idle = pages(site)
    began = time.monotonic()
    streams = [Stream(site, "/api/jobs/7/events/") for _ in range(count)]
    opened = time.monotonic() - began
    beside = pages(site)
    began = time.monotonic()
    say(site, "7", 1)
    for stream in streams:
        stream.until("data: <b>1</b>")
    reached = time.monotonic() - began
    print(f"pages without streams: median {idle[0]:.1f} ms, p95 {idle[1]:.1f} ms")
    print(f"{count} streams opened in {opened:.1f} s, one after the other")
    print(f"pages beside them: median {beside[0]:.1f} ms, p95 {beside[1]:.1f} ms")
    print(f"a publication read by all of them after {reached:.2f} s")


def main():
    """Measures with as many streams as the command says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # A descriptor for each, here too.
    with tempfile.TemporaryDirectory() as folder:
        site = Sync(Path(folder), None)
        try:
            measure(site.start(), count)
        finally:
            site.stop()


if __name__ == "__main__":
    main()
