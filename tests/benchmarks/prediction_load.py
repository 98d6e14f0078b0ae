"""Run as a process of its own: POST one body again and again over N kept-open connections.

Argument: JSON {"url", "token", "body", "connections", "seconds"}. Prints JSON {"rate" (answers a second), "p50",
"p99" (milliseconds), "failed"}.
"""

import asyncio
import json
import statistics
import sys
import time

import aiohttp


async def run(plan: dict[str, object]) -> dict[str, float]:
    """All connections at once; the first fifth of the time is warm-up and not counted."""
    seconds = float(str(plan["seconds"]))
    connections = int(str(plan["connections"]))
    body = json.dumps(plan["body"]).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {plan['token']}"}
    begin = time.perf_counter() + seconds * 0.2
    end = begin + seconds
    times: list[float] = []
    failed = 0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        while True:
            start = time.perf_counter()
            if start > end:
                return
            async with session.post(str(plan["url"]), data=body) as answer:
                await answer.read()
                took = time.perf_counter() - start
                if answer.status != 200:
                    failed += 1
                elif start >= begin:
                    times.append(took)

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(one(session) for _ in range(connections)))
    cuts = statistics.quantiles(times, n=100)
    return {"rate": len(times) / seconds, "p50": cuts[49] * 1000, "p99": cuts[98] * 1000, "failed": failed}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
