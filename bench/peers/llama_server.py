"""llama-server, the HTTP server of llama.cpp, built for this machine (builds.py)."""
import json
import os
import pathlib
import sys
import tempfile
import urllib.request

import builds

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "load"))
import servers  # noqa: E402


def start(model, log, slots, context, threads):
    """A servers.ServerProcess on a free port. `context`: tokens of all slots together. All else, its cache
    of prompts among it, is llama-server's default."""
    command = [builds.build("llama.cpp").file("llama-server"), "--model", model, "--parallel", slots, "--ctx-size", context,
               "--threads", threads, "--threads-batch", threads, "--cont-batching", "--flash-attn", "on", "--jinja",
               "--port", 0]
    return servers.ServerProcess(command, log, says_url_in_log=True)


class ChatRenderer:
    """llama.cpp's chat templates, through llama-server (on 127.0.0.1)."""

    def __init__(self, path):
        self.folder = tempfile.TemporaryDirectory()
        self.server = start(path, os.path.join(self.folder.name, "log"), slots=1, context=512, threads=1)

    def render(self, messages):
        body = json.dumps({"messages": messages}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port}/apply-template", body,
                                         {"Content-Type": "application/json"})
        # Without a proxy: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["prompt"]

    def close(self):
        self.server.kill()
        self.folder.cleanup()
