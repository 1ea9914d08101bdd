"""Speed kept as data: bench/results/KIND.json, one file for each kind of machine.

{"cpu": name, "backend": "CPU, AVX3_DL, 2 threads", "entries": [{"date", "commit", "peaks": {bytes/s and
multiply-adds/s}, "figures": {model: {test: median}}}]}; a kind is a CPU and what the backend makes of it.
"""
import datetime
import json
import pathlib
import re
import subprocess

import measured

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "results"


def kind_of(cpu, backend):
    return re.sub(r"[^a-z0-9]+", "-", f"{cpu} {backend}".lower()).strip("-")


def commit():
    """Of the tree that this script is in, as the record of what was measured."""
    described = subprocess.run(["git", "-C", FOLDER.parent, "describe", "--always", "--dirty"], capture_output=True,
                               text=True, check=False)
    return described.stdout.strip() or "unknown"


def record(reference, rows):
    """Appends an entry with the new program's medians; returns the file."""
    cpu, backend = measured.cpu_name(), reference["backend"]
    path = FOLDER / f"{kind_of(cpu, backend)}.json"
    kept = json.loads(path.read_text()) if path.exists() else {"cpu": cpu, "backend": backend, "entries": []}
    figures = {}
    for row in rows:
        figures.setdefault(row["model"], {})[row["test"]] = round(row["new"], 2)
    kept["entries"].append({"date": datetime.date.today().isoformat(), "commit": commit(),
                            "peaks": {name: float(f"{value:.4g}") for name, value in reference["peaks"].items()},
                            "figures": figures})
    FOLDER.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path
