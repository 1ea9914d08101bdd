"""Looks at a server while others load it: is it alive, how soon does /health answer, how much memory does it hold."""
import asyncio
import pathlib
import time

import streams

TICK = 0.1  # seconds


def resident_memory(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


class Stalls:
    """Knows for how long this program itself was not run, which is no fault of a server."""

    def __init__(self):
        self.seconds = 0.0

    async def tick(self):
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self.seconds += max(0.0, time.monotonic() - before - 2 * TICK)


class Watch:
    """Seconds of each /health, bytes at each look. `note` gets what is wrong, in one line."""

    def __init__(self, server, note, health_limit, interval=1.0):
        self.server, self.note, self.limit, self.interval = server, note, health_limit, interval
        self.health, self.memory, self.stalls = [], [], Stalls()
        self.over = False

    async def look(self):
        before, stalled = time.monotonic(), self.stalls.seconds
        try:
            response = await streams.request(self.server.port, "GET", "/health")
            if response.status != 200:
                self.note(f"/health answers {response.status}")
        except (OSError, streams.Broken) as error:
            self.note(f"/health: {type(error).__name__}: {error}")
        took = time.monotonic() - before
        await asyncio.sleep(2 * TICK)  # for the ticks to notice a stall
        took -= min(took, self.stalls.seconds - stalled)
        self.health.append(took)
        if took > self.limit:
            self.note(f"/health took {1000 * took:.0f} ms")
        if not self.server.is_alive():
            raise RuntimeError(f"the server died; see {self.server.log}")
        self.memory.append(resident_memory(self.server.pid))

    async def run(self):
        """Until `over`."""
        ticker = asyncio.create_task(self.stalls.tick())
        try:
            while not self.over:
                await self.look()
                await asyncio.sleep(self.interval)
        finally:
            ticker.cancel()
