"""A stand-in for `tessera serve` that answers what a test wants: hostile text, errors, a chosen
engine. It serves the files of ui/ as they are, under the policy that the real server sends."""
import http.server
import json
import pathlib
import re
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

DEFAULTS = {"temperature": 0.6, "top_k": 11, "top_p": 0.9, "min_p": 0.25}
MODEL = {"id": "stub-model", "default_generation_settings": DEFAULTS}


def content_security_policy():
    """The policy in src/serve/server.cc, so that the page is tested under what it will meet."""
    source = (ROOT / "src/serve/server.cc").read_text()
    literals = re.search(r"kPolicy =((?:\s*\"[^\"]*\")+);", source).group(1)
    return "".join(re.findall(r"\"([^\"]*)\"", literals))


class StubServer:
    """`script` is what the next answers are: each a dict of `text`, and if wanted `error` (status,
    message), `break_after` (pieces), `hold` (an Event to wait for at each piece), `cached`. Without a
    script the answer is the last message, said again. The model is told once `model_known` is set."""

    def __init__(self):
        self.script, self.requests, self.engine, self.key = [], [], idle_engine(), None
        self.model_known = threading.Event()
        self.model_known.set()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                stub.get(self)

            def do_POST(self):
                stub.post(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def get(self, handler):
        path = handler.path.split("?")[0].lstrip("/") or "index.html"
        if path in ("v1/models", "engine"):
            if not self.admits(handler):
                return
            if path == "v1/models":
                self.model_known.wait(120)
            answer = self.engine if path == "engine" else {"data": [MODEL]}
            send(handler, 200, "application/json", json.dumps(answer).encode())
            return
        file = ROOT / "ui" / path
        if not file.is_file():
            send(handler, 404, "text/plain", b"")
            return
        send(handler, 200, TYPES[file.suffix], file.read_bytes())

    def admits(self, handler):
        if self.key is None or handler.headers.get("Authorization") == f"Bearer {self.key}":
            return True
        send_error(handler, 401, "a valid API key is needed")
        return False

    def post(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if not self.admits(handler):
            return
        self.requests.append(body)
        answer = self.script.pop(0) if self.script else {"text": body["messages"][-1]["content"]}
        if "error" in answer:
            send_error(handler, *answer["error"])
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            self.stream(handler, answer)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def stream(self, handler, answer):
        pieces = re.findall(r"\s*\S+\s*?|\s+$", answer["text"]) or [""]
        for number, piece in enumerate(pieces):
            if answer.get("break_after") == number:
                return
            if answer.get("hold") and number:
                answer["hold"].wait(120)
            event(handler, {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            time.sleep(answer.get("pause", 0))
        event(handler, {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.get("finish", "stop")}]})
        event(handler, {"choices": [], "usage": {
            "prompt_tokens": 48, "completion_tokens": len(pieces), "total_tokens": 48 + len(pieces),
            "prompt_tokens_details": {"cached_tokens": answer.get("cached", 32)}}})
        handler.wfile.write(b"data: [DONE]\n\n")


def event(handler, data):
    handler.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
    handler.wfile.flush()


def send_error(handler, status, message):
    send(handler, status, "application/json", json.dumps({"error": {"message": message}}).encode())


def send(handler, status, kind, body):
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Content-Security-Policy", content_security_policy())
    handler.end_headers()
    handler.wfile.write(body)


def idle_engine():
    return engine_of([], [], ".")


def engine_of(running, waiting, block_map, throughput=()):
    """What GET /engine says; `running` and `waiting` are lists of block lists."""
    def sequences(lists, first):
        return [{"id": first + i, "priority": 0, "prompt_tokens": 300, "generated_tokens": 20 * i, "computed_tokens": 300,
                 "cached_tokens": 96, "preemptions": i % 2, "blocks": blocks} for i, blocks in enumerate(lists)]
    return {"model": "stub-model", "running": sequences(running, 1), "waiting": sequences(waiting, 1 + len(running)),
            "pool": {"blocks": len(block_map), "block_tokens": 32,
                     "used": sum(c in "us" for c in block_map), "map": block_map},
            "totals": {"steps": 9, "prompt_tokens": 1200, "cached_tokens": 800, "generated_tokens": 345,
                       "preemptions": 2, "drafted": 400, "accepted": 300},
            "throughput": list(throughput), "second": throughput[-1]["second"] + 1 if throughput else 0}
