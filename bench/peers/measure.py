"""Measures one peer, in a process of its own, and prints what `tessera bench --json` prints.

The tests are those of `tessera bench` (src/evaluate/bench.cc): ppN reads a prompt of N tokens, tgN
generates N tokens one by one without sampling, verifyN runs steps of N tokens with the logits of
each; all from a context of `depth` tokens, after a run that is not counted.
"""
import json
import pathlib
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import builds  # noqa: E402
import ik_llama  # noqa: E402
import llama  # noqa: E402
import openvino_llm  # noqa: E402

PEERS = ["llama.cpp", "llama.cpp, flash attention", "ik_llama.cpp", "ik_llama.cpp, repacked", "OpenVINO"]
VERIFY_STEPS = 16  # as in src/evaluate/bench.cc


def description_of(peer):
    """Which build of it is measured; made or installed if need be. RuntimeError, in one line, where that fails."""
    if peer != "OpenVINO":
        return builds.build(peer.split(",")[0]).description
    llama.install_peer(*openvino_llm.PACKAGES)
    return openvino_llm.DESCRIPTION


def longest_test(options):
    counts = options["prompt"] + options["generate"] + [n * VERIFY_STEPS for n in options["verify"]]
    return options["depth"] + max(counts, default=1)


def open_llama(peer, options):
    common = {"context": longest_test(options), "threads": options["threads"], "kv": options["kv"]}
    if peer.startswith("ik_llama.cpp"):
        return ik_llama.IkLlama(options["model"], repack="repacked" in peer, flash_attention=True, **common)
    return llama.Llama(options["model"], flash_attention="flash" in peer, **common)


def name_of(kind, count, options):
    return f"{kind}{count}" + (f"@{options['depth']}" if options["depth"] else "")


def measure_llama(peer, options):
    """Yields (test, tokens per second)."""
    model = open_llama(peer, options)
    depth = options["depth"]
    generator = random.Random(1)
    tokens = [generator.randrange(model.n_vocab) for _ in range(longest_test(options))]

    def read(first, count, rows, all_logits=False):
        for start in range(first, first + count, rows):
            part = tokens[start:min(start + rows, first + count)]
            model.decode(part, start, range(len(part)) if all_logits else [len(part) - 1])
            model.synchronize()

    if depth:
        read(0, depth, model.MAX_BATCH)
    tests = [("pp", n, n, model.MAX_BATCH, False) for n in options["prompt"]]
    tests += [("tg", n, n, 1, False) for n in options["generate"]]
    tests += [("verify", n, n * VERIFY_STEPS, n, True) for n in options["verify"]]
    for kind, n, count, rows, all_logits in tests:
        speeds = []
        for _ in range(options["repetitions"] + 1):
            model.rewind(depth)
            start = time.perf_counter()
            read(depth, count, rows, all_logits)
            speeds.append(count / (time.perf_counter() - start))
        yield name_of(kind, n, options), statistics.median(speeds[1:])


def measure_openvino(options):
    model = openvino_llm.OpenVino(options["model"], options["threads"], options["kv"])
    depth, repetitions = options["depth"], options["repetitions"]
    generator = random.Random(1)

    def median(prompt, count, index):
        # It keeps the keys and values of prompts it has read: each repetition needs another.
        times = [model.generate(generator.choices(range(100, 20000), k=prompt), count)[index]
                 for _ in range(repetitions + 1)]
        return statistics.median(times[1:])

    if not depth:
        for n in options["prompt"]:
            yield name_of("pp", n, options), n / median(n, 1, 0)
    for n in options["generate"]:
        yield name_of("tg", n, options), 1 / median(max(depth, 1), n, 1)


def main():
    peer, options = sys.argv[1], json.loads(sys.argv[2])
    measure = measure_openvino(options) if peer == "OpenVINO" else measure_llama(peer, options)
    print(json.dumps([{"name": name, "tokens_per_second": speed} for name, speed in measure]))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever stops a peer is its line in the table, never the end
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.exit(f"error: {reason[:300]}")
