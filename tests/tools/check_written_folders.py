#!/usr/bin/env python3
"""Has the official loaders read the quantized folders that `tessera quantize` writes, and compares what they answer.

    tests/tools/make_layout_goldens.py says how to make the environment
    /tmp/layouts/bin/python tests/tools/check_written_folders.py [--work FOLDER] build/release/src/tessera [FORMAT...]

Of a tiny Llama that transformers makes, a folder is written in each format, by rounding to nearest. transformers loads
it, with whatever package it needs for that, and answers in float32. Tessera answers from the same folder, once with all
that it holds decoded to F32, and once as it runs it: with activations of 8 bits where codes allow it. What differs is
given as the mean KL divergence in nats, and the largest difference of a logit.

Classes that round activations themselves (W8A8, FP8_DYNAMIC, BitNet) would answer something else by design, and
bitsandbytes on a CPU answers in float16 alone, NVFP4 and MXFP4 in bfloat16: there the weights are compared, which the
package reads out of the folder, to the last bit of the type it has them in. So are those of W4A16_ASYM:
compressed-tensors 0.20 has transformers expect zeros that are not packed, unlike those that it writes itself.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import numpy
import torch
from make_folder_goldens import HalfCache
from safetensors import safe_open
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

VOCABULARY, TOKENS = 64, 32
FORMATS = ["gptq-4bit-128g", "gptq-4bit-128g-asym", "gptq-4bit-32g", "gptq-2bit-32g-asym", "gptq-3bit-64g", "gptq-8bit-128g",
           "awq-4bit-128g", "awq-4bit-32g", "W4A16", "W4A16_ASYM", "W8A16", "W8A8", "FP8_DYNAMIC", "NVFP4A16", "MXFP4A16",
           "bnb-nf4", "bnb-nf4-double", "bnb-fp4", "bnb-fp4-double", "bitnet"]
WEIGHTS_ALONE = {"W8A8", "FP8_DYNAMIC", "NVFP4A16", "MXFP4A16", "bitnet", "W4A16_ASYM"}


def make_source(folder):
    torch.manual_seed(11)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=256, intermediate_size=384, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                         tie_word_embeddings=False, bos_token_id=0, eos_token_id=1)
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        scale, offset = (0.3, 1.0) if parameter.ndim == 1 else (1.5 / parameter.shape[-1] ** 0.5, 0.0)
        parameter.data = torch.randn_like(parameter) * scale + offset
    model.half().save_pretrained(folder)
    # A tokenizer there must be; the prompt is given as numbers.
    tokenizer = {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "decoder": {"type": "ByteLevel"},
                 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def tessera_answers(program, model, tokens, out):
    subprocess.run([program, "logits", model, "--tokens", ",".join(map(str, tokens)), "--all", "--out", out],
                   check=True, stdout=subprocess.DEVNULL)
    return torch.from_numpy(numpy.fromfile(out, dtype=numpy.float32)).reshape(len(tokens), VOCABULARY)


def divergence(p, q):
    p, q = torch.log_softmax(p.double(), -1), torch.log_softmax(q.double(), -1)
    return float((p.exp() * (p - q)).sum(-1).mean())


def tensors_of(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def official_weights(kind, folder):
    """What the package makes of each quantized matrix, by its module's name."""
    parts = tensors_of(folder)
    if kind.startswith("bnb"):
        from bitsandbytes.functional import QuantState, dequantize_4bit
        weights = {}
        for name in [name for name in parts if name.endswith(".weight.quant_map")]:
            weight = name.removesuffix(".quant_map")
            state = QuantState.from_dict({n.removeprefix(weight + "."): t for n, t in parts.items()
                                          if n.startswith(weight + ".")}, "cpu")
            state.dtype = torch.float32
            weights[weight.removesuffix(".weight")] = dequantize_4bit(parts[weight], state)
        return weights
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    modules = [name.removesuffix("_scale").removesuffix(".weight") for name in parts if name.endswith(".weight_scale")]
    if kind == "bitnet":
        from transformers.integrations.bitnet import unpack_weights
        return {m: unpack_weights(parts[m + ".weight"], torch.float32) / parts[m + ".weight_scale"] for m in modules}
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    arguments = QuantizationArgs(**config["config_groups"]["group_0"]["weights"])
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments, format=config["format"])
    compressor = BaseCompressor.get_value_from_registry(config["format"])
    states = {m: {n.removeprefix(m + "."): t for n, t in parts.items() if n.startswith(m + ".")} for m in modules}
    return {m: compressor.decompress(state, scheme)["weight"] for m, state in states.items()}


def check(program, kind, source, work, tokens):
    folder, plain = work / kind, work / (kind + "-f32")
    for command in ([source, "--format", kind, "-o", f"{folder}/"], [folder, "--format", "F32", "-o", f"{plain}/"]):
        subprocess.run([program, "quantize", "--force", *command], check=True, stdout=subprocess.DEVNULL)
    size = (folder / "model.safetensors").stat().st_size
    if kind.startswith(("gptq", "awq")):  # else GPTQModel compiles kernels first
        config = json.loads((folder / "config.json").read_text())
        config["quantization_config"]["backend"] = "torch_awq" if kind.startswith("awq") else "gptq_torch"
        (folder / "config.json").write_text(json.dumps(config))
    line = f"{kind:20} {size:8}"
    if kind in WEIGHTS_ALONE or kind.startswith("bnb"):
        ours, official = tensors_of(plain), official_weights(kind, folder)
        worst = max(float((ours[m + ".weight"].to(w.dtype) - w).float().abs().max()) for m, w in official.items())
        line += f"  {len(official)} matrices differ by {worst:.1e} at most"
    if kind in WEIGHTS_ALONE:
        return line
    dtype = torch.float16 if kind.startswith("bnb") else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map="cpu").eval()
    cache = {} if kind.startswith("bnb") else {"past_key_values": HalfCache(), "use_cache": True}
    with torch.no_grad():
        official = model(torch.tensor([tokens]), **cache).logits[0].float()
    exact = tessera_answers(program, plain, tokens, work / "exact")
    here = tessera_answers(program, folder, tokens, work / "here")
    return (f"{line}  decoded: KL {divergence(official, exact):.1e}, logits {float((official - exact).abs().max()):.1e}"
            f"; as it runs: KL {divergence(official, here):.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/written-folders"))
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options.work.mkdir(parents=True, exist_ok=True)
    source = options.work / "source"
    make_source(source)
    tokens = torch.randint(3, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(5)).tolist()
    failed = 0
    for kind in options.formats or FORMATS:
        try:
            print(check(options.program, kind, source, options.work, tokens), flush=True)
        except Exception as error:  # the next package may be there
            print(f"{kind:20} {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
