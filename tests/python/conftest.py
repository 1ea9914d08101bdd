"""A server for the whole run, on a free port."""
import os
import re
import signal
import subprocess

import openai
import pytest

MODEL = "smollm2"
KEY = "test-key"
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


class Server:
    def __init__(self, folder, *flags):
        keys = folder / "keys"
        keys.write_text(KEY + "\n")
        self.process = subprocess.Popen(
            [os.environ["TESSERA_PROGRAM"], "serve", os.environ["TESSERA_MODEL"], "--name", MODEL, "--port", "0",
             "--kv-memory", "512M", "--api-key-file", str(keys), *flags],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line).group()

    def stop(self):
        """Asks for an orderly end and returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="session")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0, timeout=300)
