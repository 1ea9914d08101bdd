"""Servers in processes of their own: started on a free port, waited for, ended."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESSERA = ROOT / "build" / "release" / "src" / "tessera"


class ServerProcess:
    """A program that says its URL in a line once it takes requests."""

    def __init__(self, command, log, says_url_in_log=False):
        """`log`: a file that gets what it says on standard error. The URL stands on standard output, unless
        `says_url_in_log`."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that callers end their servers
        self.log = pathlib.Path(log)
        with open(log, "wb") as errors:
            self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stderr=errors,
                                            stdout=errors if says_url_in_log else subprocess.PIPE)
        found = self._find_url(self._lines_of_log() if says_url_in_log else self.process.stdout)
        if not found:
            said = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise RuntimeError(f"{command[0]} did not start: {said[-1]}")
        self.port = int(found.group(1))

    def _find_url(self, lines):
        return next((found for line in lines if (found := re.search(rb"http://[^ ]*:(\d+)", line))), None)

    def _lines_of_log(self):
        """The whole lines of the log as they come, until the program ends."""
        with open(self.log, "rb") as log:
            line = b""
            while self.is_alive():
                line += log.readline()
                if line.endswith(b"\n"):
                    yield line
                    line = b""
                else:
                    time.sleep(0.05)

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def stop(self, patience=120):
        """Asks for an orderly end and returns the exit status; None if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()


def tessera(program, model, log, *flags):
    return ServerProcess([program, "serve", model, "--port", "0", *flags], log)


def program_and_model(program, model):
    """Builds the program if none is named, fetches the model if it is no file. RuntimeError if that fails."""
    try:
        if not program:
            subprocess.run([ROOT / "script" / "build", "release", "tessera"], check=True, stdout=sys.stderr)
            program = TESSERA
        if not os.path.exists(model):
            model = subprocess.run([ROOT / "script" / "fetch-model", model], check=True, stdout=subprocess.PIPE,
                                   text=True).stdout.strip()
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{pathlib.Path(error.cmd[0]).name} failed") from None
    return str(program), model
