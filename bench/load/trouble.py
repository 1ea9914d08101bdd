"""Clients that misbehave: they send nonsense, stop in the middle, read slowly, or leave."""
import asyncio
import json
import random
import socket

from words import words

ENDLESS = {"max_tokens": 1500, "ignore_eos": True, "stream": True, "seed": 1, "logprobs": 3}
CLOSED = 0  # instead of a status: the server closed the connection
PATIENCE = 8  # seconds for the response to nonsense; the server may wait longer for the rest of it


def post(body, headers=(), path="/v1/completions"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(body):
    return b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body


BAD_BODIES = [b"", b"{", b"[]", b"null", b'{"prompt":"a"', b'{"prompt":"\xff\xfe"}', b"[" * 100_000,
              b'{"prompt":' + b'{"a":' * 5000, b'{"prompt":"a","max_tokens":1e400}', b'{"prompt":"a","n":999999999}',
              b'{"prompt":5}', b'{"prompt":[]}', b'{"prompt":[-1]}', b'{"prompt":[[1],2]}', b'{"prompt":[4294967296]}',
              b'{"prompt":"a","temperature":"hot"}', b'{"prompt":"a","logit_bias":{"x":1}}', b'{"prompt":"a","stop":[5]}',
              b'{"prompt":"a","seed":1.5}', b'{"prompt":"a","stream":1}', b'{"prompt":"a","grammar":"root ::= root"}',
              b'{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#/x"}}}}',
              b'{"messages":"hi"}', b'{"messages":[{"role":"king","content":"x"}]}', b'{"messages":[{}],"tools":{}}']
BAD_HTTP = [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /nowhere HTTP/1.1\r\n\r\n", b"DELETE /v1/completions HTTP/1.1\r\n\r\n",
            b"GET /v1/../v1/models/%00%ff HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /health HTTP/1.1\r\nX: " + b"y" * 100_000, b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\nabc",
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nabc",
            b"POST /v1/completions HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            chunked(b"zz\r\nabc\r\n"), chunked(b"-1\r\nabc\r\n"), chunked(b"ffffffffffffffff\r\nabc\r\n"),
            chunked(b"3\r\nabcdef\r\n0\r\n\r\n"), chunked(b"3\r\nabc\r\n"), chunked(b"0\r\n\r\n")]


class Socket:
    """A TCP connection, byte by byte."""

    def __init__(self, receive_buffer=0):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def connect(self, port):
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", port))

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self, size=65536):
        return await asyncio.get_running_loop().sock_recv(self.socket, size)

    def reset(self):
        """Closing will not say good-bye: the server sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class Trouble:
    """The same misdeeds for the same seed."""

    def __init__(self, port, seed):
        self.port, self.draw = port, random.Random(seed)
        self.misdeeds = [self.nonsense, self.nonsense, self.damaged_request, self.half_body, self.leaves,
                         self.leaves, self.reads_slowly, self.never_reads]

    def any(self):
        return self.draw.choice(self.misdeeds)

    async def status_of(self, data):
        """What comes back for `data`: a status, CLOSED, or None if nothing came in time."""
        async with Socket() as client:
            try:
                await client.connect(self.port)
                await client.send(data)
                head = await asyncio.wait_for(client.receive(), PATIENCE)
            except (ConnectionResetError, BrokenPipeError):
                return CLOSED
            except asyncio.TimeoutError:
                return None
            return int(head.split(b" ")[1]) if head.startswith(b"HTTP/1.1 ") else CLOSED

    async def nonsense(self):
        """Returns what is wrong with the response, or nothing."""
        kind = self.draw.randrange(3)
        if kind == 0:
            data = post(self.draw.choice(BAD_BODIES), path=self.draw.choice(("/v1/completions", "/v1/chat/completions")))
        else:
            data = self.draw.choice(BAD_HTTP) if kind == 1 else self.draw.randbytes(self.draw.randint(1, 3000))
        status = await self.status_of(data)
        if status in (200, 500):
            return f"status {status} for {data[:120]!r}"

    async def damaged_request(self):
        data = bytearray(post({"prompt": "Once", "max_tokens": 3, "stream": self.draw.random() < 0.5}))
        for _ in range(self.draw.randint(1, 4)):
            data[self.draw.randrange(len(data))] = self.draw.randrange(256)
        status = await self.status_of(bytes(data))
        if status == 500:
            return f"status 500 for {bytes(data)!r}"

    async def half_body(self):
        data = post({"prompt": words(200, "half")})
        async with Socket() as client:
            await client.connect(self.port)
            await client.send(data[:self.draw.randrange(1, len(data))])
            if self.draw.random() < 0.5:
                client.socket.shutdown(socket.SHUT_WR)
            await asyncio.sleep(self.draw.choice((0, 0, 1, 3)))

    async def leaves(self):
        """In the middle of a stream, of the prompt, or while it waits for a whole answer."""
        body = ENDLESS | {"prompt": words(self.draw.choice((5, 200)), self.draw.random()), "seed": 2,
                          "stream": self.draw.random() < 0.7, "n": self.draw.choice((1, 1, 3)), "max_tokens": 800}
        async with Socket() as client:
            await client.connect(self.port)
            await client.send(post(body))
            await asyncio.sleep(self.draw.choice((0, 0.05, 0.5, 3)))
            if body["stream"] and self.draw.random() < 0.7:
                await client.receive(self.draw.choice((1, 4096)))
            if self.draw.random() < 0.5:
                client.reset()

    async def reads_slowly(self):
        async with Socket(receive_buffer=2048) as client:
            await client.connect(self.port)
            await client.send(post(ENDLESS | {"prompt": "Slowly"}))
            for _ in range(self.draw.randint(2, 25)):
                await client.receive(64)
                await asyncio.sleep(1)

    async def never_reads(self):
        async with Socket(receive_buffer=2048) as client:
            await client.connect(self.port)
            await client.send(post(ENDLESS | {"prompt": "Never"}))
            await asyncio.sleep(self.draw.choice((3, 10, 40)))
