#!/usr/bin/env python3
"""Clients that mean harm: attacks.py NAME PORT SECONDS runs one, and prints what it got that it should not, as JSON.

A process of their own, so that what they do costs those who measure nothing. They come from 127.0.0.2, which is
another client to a server than 127.0.0.1, reach nothing but this machine, and are bounded in number and time.
"""
import asyncio
import json
import random
import string
import sys
import time

from words import words

ATTACKER = "127.0.0.2"
PATIENCE = 8  # seconds for a response
MOST_NAMED = 5


class Attack:
    """One kind of harm. Subclasses say in `client()` what one of `clients` does, again and again."""

    clients = 8
    server_flags = ()
    kept = 0  # bytes of memory that the server may keep of it, by design

    def __init__(self, port, seconds):
        self.port, self.end = port, time.monotonic() + seconds
        self.wrong, self.count = [], 0

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(ATTACKER, 0), limit=1 << 20)

    async def exchange(self, data, patience=PATIENCE):
        """All that comes back until the server closes, or nothing comes any more."""
        reader, writer = await self.connect()
        answer = b""
        try:
            writer.write(data)
            while part := await asyncio.wait_for(reader.read(65536), patience):
                answer += part
        except (asyncio.TimeoutError, OSError):
            pass
        finally:
            writer.close()
        return answer

    async def run(self):
        async def again(index):
            draw = random.Random(f"{type(self).__name__} {index}")
            while time.monotonic() < self.end:
                try:
                    await asyncio.wait_for(self.client(index, draw), max(0.1, self.end - time.monotonic()))
                    self.count += 1
                except asyncio.TimeoutError:
                    pass
                except OSError:
                    await asyncio.sleep(0.05)  # refused, reset: what an attacker deserves

        await asyncio.gather(*(again(index) for index in range(self.clients)))
        return {"count": self.count, "wrong": self.wrong[:MOST_NAMED]}


def post(path, body):
    body = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


class Grammars(Attack):
    """A: grammars and patterns whose masks take long, or much memory; each a little another one."""

    clients = 4
    kept = 128 << 20  # grammars of the latest requests (src/grammar/shared_grammar.h)

    @staticmethod
    def many_stacks(draw):
        """158 KB: each letter leads to 200 ways on, each of which may begin with all of them again."""
        letters = string.ascii_letters + string.digits + ".,;:"
        first = draw.randrange(1000, 9000)
        lines = ["root ::= s", "s ::= " + " | ".join(f'"{letter}" t{i}' for i, letter in enumerate(letters)) + ' | "!"']
        lines += [f"t{i} ::= " + " | ".join(f's "{first + 200 * i + j}p"' for j in range(200)) for i in range(len(letters))]
        return {"grammar": "\n".join(lines)}

    @staticmethod
    def pattern(draw):
        count = draw.randrange(150, 200)
        pattern = draw.choice((f"^(.{{1,300}}[a-z]){{1,30}}(.*a.{{{count}}})*$", f"^.*[a-m].{{{15 * count}}}$",
                               f"^(a|b|ab)*.{{{count}}}(c.*d){{5,40}}$"))
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
            "type": "string", "pattern": pattern}}}}

    @staticmethod
    def alternatives(draw):
        count = draw.randrange(350, 400)
        return {"grammar": "root ::= " + " | ".join(f"[^\\n]{{0,{i}}}" for i in range(1, count)) + ' "."'}

    async def client(self, index, draw):
        kind = (self.many_stacks, self.pattern, self.alternatives, self.many_stacks)[index % 4]
        answer = await self.exchange(post("/v1/completions", {"prompt": "a", "max_tokens": draw.choice((1, 30)),
                                                              **kind(draw)}))
        if answer.startswith(b"HTTP/1.1 5") and not answer.startswith(b"HTTP/1.1 503"):
            self.wrong.append(f"{kind.__name__}: {answer[:40]!r}")


class Bodies(Attack):
    """B: bodies as large as the server takes, whose length in tokens no context holds."""

    clients = 8
    paths = {"/v1/completions": lambda text: {"prompt": text}, "/tokenize": lambda text: {"prompt": text},
             "/v1/embeddings": lambda text: {"input": text},
             "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]}}
    letters = bytes(ord((string.ascii_letters + " ")[byte % 53]) for byte in range(256))

    async def client(self, index, draw):
        path, body_of = list(self.paths.items())[index % len(self.paths)]
        text = draw.randbytes(8_000_000).translate(self.letters).decode()
        answer = await self.exchange(post(path, body_of(text)))
        if answer.startswith(b"HTTP/1.1 200"):
            self.wrong.append(f"8 MB of letters to {path} are answered")


class Crowd(Attack):
    """C: one client that wants all of the queue and of every step, before others."""

    clients = 16

    @staticmethod
    def request(kind, draw):
        if kind == 0:
            return "/v1/embeddings", {"input": 8 * [words(2100, draw.random()) for _ in range(16)]}  # of 2,850 tokens
        if kind == 1:
            return "/v1/completions", {"prompt": [words(300, draw.random()) for _ in range(128)], "echo": True,
                                       "logprobs": 5, "max_tokens": 1}
        if kind == 2:
            return "/v1/completions", {"prompt": words(100, draw.random()), "n": 128, "max_tokens": 2000,
                                       "ignore_eos": True}
        return "/v1/completions", {"prompt": "a", "max_tokens": 1, "priority": -1000}

    async def client(self, index, draw):
        kind = index % 4
        answer = await self.exchange(post(*self.request(kind, draw)), max(0.1, self.end - time.monotonic()))
        if kind == 3 and answer and not answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 503")):
            self.wrong.append(f"priority -1000 gets {answer[:40]!r}")
        await asyncio.sleep(0.1)


class Rebinding(Attack):
    """D: a page whose own name was made to lead to this machine."""

    hosts = ("evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "",
             "[::2]:{port}", "0.0.0.0:{port}")
    requests = (("GET", "/v1/models"), ("GET", "/engine"), ("GET", "/metrics"), ("GET", "/"), ("GET", "//v1/models/"),
                ("POST", "/v1/completions"), ("POST", "/chat/completions"), ("OPTIONS", "/v1/completions"))

    async def client(self, index, draw):
        host = draw.choice(self.hosts).format(port=self.port)
        method, path = draw.choice(self.requests)
        body = '{"prompt": "a", "max_tokens": 1}' if method == "POST" else ""
        answer = await self.exchange(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
                                     f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        if not answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 503")):
            self.wrong.append(f"Host '{host}' at {method} {path}: {answer[:40]!r}")
        await asyncio.sleep(0.01)


class Smuggling(Attack):
    """E: requests that two servers may see end in two places, with another behind them."""

    hidden = b"GET /engine HTTP/1.1\r\nHost: localhost\r\n\r\n"
    heads = (b"X-A\r\n", b": a\r\n", b"X-A : b\r\n", b"X-A: b\r\n c\r\n", b"X-A: b\0\r\n", b"X-A: b\x0b\r\n", b"X-A: b\rc\r\n",
             b"Host: localhost\r\n", b"Content-Length: 5\nX: y\r\n", b"Content-Length: -1\r\n", b"Content-Length: +5\r\n",
             b"Content-Length: 0x5\r\n", b"Content-Length: 5, 5\r\n", b"Content-Length: 5\r\nContent-Length: 0\r\n",
             b"Content-Length : 5\r\n", b"Content-Length: 5\r\nTransfer-Encoding:\r\n",
             b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
             b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n")
    chunks = (b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"5zzz\r\nhello\r\n",
              b"5\nhello\r\n", b"5\r\nhello\n", b"5\r\nhelloXX\r\n", b"5;a\rb\r\nhello\r\n", b"-1\r\nhello\r\n",
              b"5;" + b"x" * 5000 + b"\r\nhello\r\n", b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n", b"0\r\n\n", b"\r\nhello\r\n")

    async def client(self, index, draw):
        start = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\n"
        if draw.random() < 0.5:
            data = start + draw.choice(self.heads) + b"\r\nhello"
        else:
            data = start + b"Transfer-Encoding: chunked\r\n\r\n" + draw.choice(self.chunks) + b"0\r\n\r\n"
        answer = await self.exchange(data + self.hidden)
        if not answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 503")) or answer.count(b"HTTP/1.1 ") != 1:
            self.wrong.append(f"{data[len(start):][:60]!r}: {answer[:40]!r}, {answer.count(b'HTTP/1.1 ')} responses")
        await asyncio.sleep(0.01)


class Connections(Attack):
    """F: three times the connections that the server has, none of which lets go."""

    clients = 120
    server_flags = ("--max-connections", "40")

    async def client(self, index, draw):
        kind = index % 4
        reader, writer = await self.connect()
        try:
            if kind == 0:  # headers a byte at a time
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                gone = asyncio.ensure_future(reader.read())
                while not gone.done():
                    writer.write(b"x")
                    await asyncio.sleep(0.5)
            elif kind == 1:  # nothing at all
                await reader.read()
            elif kind == 2:  # kept alive, idle
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await reader.read()
            else:  # a body that does not come
                writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
                await reader.read()
        finally:
            writer.close()
        await asyncio.sleep(0.2)


ATTACKS = {"A": Grammars, "B": Bodies, "C": Crowd, "D": Rebinding, "E": Smuggling, "F": Connections}


def main():
    name, port, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(ATTACKS[name](int(port), float(seconds)).run())))


if __name__ == "__main__":
    main()
