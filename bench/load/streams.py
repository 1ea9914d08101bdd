"""A small HTTP client on asyncio for hundreds of streams at once, with a time for each event.

It shares the machine with the server that it loads, so it does little: one connection for each
request, and events are kept as bytes that somebody may parse later.
"""
import asyncio
import dataclasses
import json
import time

DONE = b"[DONE]"


class Broken(Exception):
    """The server closed the connection, or sent what is no HTTP, in the middle of a response."""


@dataclasses.dataclass
class Response:
    status: int = 0
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    started: float = 0  # when the request was sent
    ended: float = 0
    times: list = dataclasses.field(default_factory=list)  # when each event came
    events: list = dataclasses.field(default_factory=list)  # their data, without [DONE]
    done: bool = False  # [DONE] was seen

    def json(self):
        return json.loads(self.body)


def encode(method, path, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def read_head(reader, response):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        response.status = int(status.split(" ")[1])
        for line in filter(None, lines):
            name, value = line.split(":", 1)
            response.headers[name.lower()] = value.strip()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise Broken(f"no response: {error}") from None


async def parts(reader, response):
    """The body as it comes, however it is framed. Raises Broken if it is not whole."""
    try:
        if response.headers.get("transfer-encoding") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        elif "content-length" in response.headers:
            yield await reader.readexactly(int(response.headers["content-length"]))
        else:
            yield await reader.read()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise Broken(f"the response is cut: {error}") from None


def take_events(response, text, now):
    """Moves whole events from the front of `text`; returns the rest."""
    while (end := text.find(b"\n\n")) >= 0:
        event, text = text[:end], text[end + 2:]
        if not event.startswith(b"data: "):
            continue  # a comment that keeps the connection alive
        if event[6:] == DONE:
            response.done = True
        else:
            response.times.append(now)
            response.events.append(event[6:])
    return text


async def receive(reader, response):
    """Reads a response to its end."""
    await read_head(reader, response)
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    rest = b""
    async for part in parts(reader, response):
        if not is_stream:
            response.body += part
            continue
        rest = take_events(response, rest + part, time.monotonic())
    response.ended = time.monotonic()
    return response


async def request(port, method, path, body=None, headers=(), response=None):
    """One request on a connection of its own. `body`: bytes, or what becomes JSON. `response`: filled as
    it comes, for who wants to look before the end."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    try:
        response = response or Response()
        response.started = time.monotonic()
        writer.write(encode(method, path, body or b"", headers))
        return await receive(reader, response)
    finally:
        writer.close()


def gaps(response):
    """Seconds between an event and the one before."""
    return [later - earlier for earlier, later in zip(response.times, response.times[1:])]


def percentile(values, percent):
    """The smallest value that `percent` of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0.0
