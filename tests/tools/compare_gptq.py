#!/usr/bin/env python3
"""Layer errors of `tessera quantize --method gptq` beside GPTQModel's, on the same weights, inputs and grid.

    tests/tools/make_layout_goldens.py says how to make the environment
    /tmp/layouts/bin/python tests/tools/compare_gptq.py build/release/src/tessera MODEL TEXT [--chunks 16]

MODEL is any that Tessera reads; its first layer alone is taken. Both quantize each of its matrices by the Hessian of what
it multiplies when transformers reads chunks of 512 tokens, to 4 bits in groups of 128 (64, if that divides no better),
symmetric, each with its own damping: GPTQModel's is 5 % of the mean diagonal, ours grows as columns outnumber the tokens.
The error of a matrix is tr((W - Q) H (W - Q)^T) / tr(W H W^T): with the H of the tokens that it was quantized by, and of
as many that follow in the text, which is what counts.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

LENGTH = 512


def run(program, *arguments):
    subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def tensors_of(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            tensors |= {name: stored.get_tensor(name) for name in stored.keys()}
    return tensors


def first_layer(folder, out):
    """The same model, of one layer."""
    out.mkdir(exist_ok=True)
    for file in folder.iterdir():
        if file.suffix in (".json", ".jinja", ".model") and "safetensors" not in file.name:
            (out / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 1
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:1]
    (out / "config.json").write_text(json.dumps(config))
    kept = {name: tensor for name, tensor in tensors_of(folder).items() if ".layers." not in name or ".layers.0." in name}
    save_file(kept, out / "model.safetensors", metadata={"format": "pt"})


def inputs_of(folder, text, chunks):
    """What each linear layer multiplies, and the layer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    linear = {name: module for name, module in model.model.named_modules() if isinstance(module, torch.nn.Linear)}
    inputs = {name: [] for name in linear}
    for name, module in linear.items():
        module.register_forward_hook(lambda _, x, __, name=name: inputs[name].append(x[0][0]))
    with torch.no_grad():
        for chunk in range(min(chunks, len(tokens) // LENGTH)):
            model.model(torch.tensor([tokens[chunk * LENGTH:(chunk + 1) * LENGTH]]))
    return {name: torch.cat(rows) for name, rows in inputs.items()}, linear


def gptqmodel_weights(module, x, group, order):
    from gptqmodel.quantization import QuantizeConfig
    from gptqmodel.quantization.gptq import GPTQ
    copy = torch.nn.Linear(module.in_features, module.out_features, bias=False)
    copy.weight.data = module.weight.data.clone()
    settings = QuantizeConfig(bits=4, group_size=group, sym=True, desc_act=False, act_group_aware=order)
    gptq = GPTQ(copy, settings)
    gptq.quantizer.configure(perchannel=True)
    with torch.no_grad():
        for begin in range(0, len(x), LENGTH):
            gptq.add_batch(x[None, begin:begin + LENGTH], None)
        return gptq.quantize()[0].float()


def error(w, q, h):
    difference, w = (w - q).double(), w.double()
    return float(((difference @ h) * difference).sum() / ((w @ h) * w).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/compare-gptq"))
    options = parser.parse_args()
    logging.disable_progress_bar()
    work = options.work
    work.mkdir(exist_ok=True)
    whole, one, ours, decoded = (work / name for name in ("whole", "one", "ours", "decoded"))
    run(options.program, "quantize", options.model, "--format", "F16", "--force", "-o", f"{whole}/")
    first_layer(whole, one)
    inputs, linear = inputs_of(one, options.text.read_text(), 2 * options.chunks)
    seen = options.chunks * LENGTH
    group = 128 if all(module.in_features % 128 == 0 for module in linear.values()) else 64
    run(options.program, "quantize", one, "--format", f"gptq-4bit-{group}g", "--method", "gptq", "--calibrate", options.text,
        "--calibrate-chunks", options.chunks, "--force", "-o", f"{ours}/")
    run(options.program, "quantize", ours, "--format", "F32", "--force", "-o", f"{decoded}/")
    weights = tensors_of(decoded)
    print(f"{seen} tokens and {len(next(iter(inputs.values()))) - seen} others, groups of {group}")
    worse = 0
    for name, module in linear.items():
        x, w = inputs[name].double(), module.weight.data
        quantized = {"tessera": weights[f"model.{name}.weight"]}
        for label, order in (("GPTQModel", False), ("group-aware", True)):
            quantized[label] = gptqmodel_weights(module, inputs[name][:seen], group, order)
        line = f"{name:24}"
        for label, rows in (("seen", x[:seen]), ("others", x[seen:])):
            h = rows.T @ rows
            errors = {tool: error(w, q, h) for tool, q in quantized.items()}
            ratio = errors["tessera"] / min(errors["GPTQModel"], errors["group-aware"])
            line += f"  {label}: " + ", ".join(f"{tool} {e:.3e}" for tool, e in errors.items()) + f", ratio {ratio:.3f}"
        worse += ratio > 1
        print(line, flush=True)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
