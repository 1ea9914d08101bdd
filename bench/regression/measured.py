"""What one program does on one model, in a process of its own: {test: figure}."""
import asyncio
import json
import os
import pathlib
import re
import subprocess

import closed_loop  # bench/load/
import servers

MEMORY = "peak MB"
SERVER_REQUESTS = 2  # of each client


def run_bench(program, model, threads, *flags):
    """(what `tessera bench --json` prints, largest resident size in bytes)."""
    command = [program, "bench", model, "--json", "--threads", str(threads), *map(str, flags)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    return json.loads(output), usage.ru_maxrss * 1024


def bench(program, model, threads, prompt, generate, verify):
    rows, peak = run_bench(program, model, threads, "-p", prompt, "-n", generate, "-b", verify)
    return {row["name"]: row["tokens_per_second"] for row in rows} | {MEMORY: peak / 1e6}


def serve(program, model, threads, clients, log):
    server = servers.tessera(program, model, log, "--threads", str(threads))
    try:
        figures = asyncio.run(closed_loop.closed_loop(server.port, clients, SERVER_REQUESTS))
    finally:
        server.kill()
    return {f"serve{clients}": figures["output"]}


def peaks(program, model, threads, best):
    """The backend's name and the limits of this machine; the best of these and `best`, for noise only lowers them."""
    rows, _ = run_bench(program, model, threads, "-p", 0, "-n", 1, "--roofline")
    found = {name: max(value, best.get("peaks", {}).get(name, 0)) for name, value in rows["peaks"].items()}
    return {"backend": rows["machine"], "peaks": found}


def cpu_name():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else os.uname().machine
