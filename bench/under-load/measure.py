"""What a crowd costs people who are logged in, with `django.concurrency` and without it.

Twenty times as many anonymous clients as Django has workers, each from an address of its own,
ask for a page that takes 50 ms, and so does one client that is logged in. Started by `run`, with
the tests' own harness.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from test_under_load import CROWD, FewWorkers, log_in

PAGES, WARM_UP, PAUSE = 100, 2.0, 0.1


class Unbounded(FewWorkers):
    """The same, where gunicorn has to queue by itself."""

    def _config(self, frontend):
        return super()._config(frontend).replace("concurrency = ", "concurrency = 0 # ")


async def pages(client, statuses):
    times = []
    for _ in range(PAGES):
        began = time.monotonic()
        answer = await client.get("/api/probe/slow/")
        times.append((time.monotonic() - began) * 1000)
        statuses[answer.status_code] += 1
    return times


async def flood(client, statuses):
    while True:
        answer = await client.get("/api/probe/slow/", headers={"Cookie": "sessionid=invented"})
        statuses[answer.status_code] += 1
        await asyncio.sleep(PAUSE)


async def measure(site):
    crowd = [site.client(f"127.0.1.{number + 1}") for number in range(CROWD)]
    own, others = Counter(), Counter()
    async with site.client("127.0.0.1") as ann:
        await log_in(ann)
        idle = await pages(ann, own)
        floods = [asyncio.create_task(flood(client, others)) for client in crowd]
        await asyncio.sleep(WARM_UP)
        loaded = await pages(ann, own)
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
    for client in crowd:
        await client.aclose()
    return idle, loaded, own, others


def p95(times):
    return statistics.quantiles(times, n=20)[-1]


def main():
    for name, kind in [("concurrency = workers", FewWorkers), ("concurrency = 0", Unbounded)]:
        with tempfile.TemporaryDirectory() as folder:
            site = kind(Path(folder), None)
            try:
                idle, loaded, own, others = asyncio.run(measure(site.start()))
            finally:
                site.stop()
        before, after = p95(idle), p95(loaded)
        ratio = after / before
        print(f"{name}: p95 idle {before:.0f} ms, loaded {after:.0f} ms, {ratio:.2f} times")
        print(f"    logged in: {dict(own)}; others: {dict(others)}")


if __name__ == "__main__":
    main()
