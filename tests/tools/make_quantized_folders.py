#!/usr/bin/env python3
"""Quantizes every linear layer of a Hugging Face folder with the writers of the official packages, round to nearest.

    tests/tools/make_layout_goldens.py says how to make the environment
    /tmp/layouts/bin/python tests/tools/make_quantized_folders.py SOURCE OUT [--group 64] [--answer] [KIND...]
    /tmp/layouts/bin/python tests/tools/make_quantized_folders.py --goldens tests/data/quantized [--old FOLDER] [KIND...]

SOURCE is a folder in bfloat16; OUT/KIND becomes the same model in each layout. With --answer, OUT/KIND/answer.json holds
what transformers answers, in float32, with the weights that the package reads out of them: so is a tiny model kept as a
golden. What no package writes without a GPU is packed by the rules of its reader (see make_layout_goldens.py): the
rows of FBGEMM's FP8, torchao's Int4Tensor.
"""
import argparse
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import make_layout_goldens as layouts
import torch
from make_folder_goldens import HalfCache
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

KINDS = {
    "gptq": lambda rows, columns, group: layouts.gptq("", 4, rows, columns, group),
    "gptq-order": lambda rows, columns, group: layouts.gptq("", 4, rows, columns, group, False, "shuffled"),
    "awq": lambda rows, columns, group: layouts.awq("", "gemm", columns, group),
    "nf4": lambda rows, columns, group: layouts.bnb4("", "nf4", True, rows, columns),
    "int8": lambda rows, columns, group: layouts.bnb_int8(),
    "hqq": lambda rows, columns, group: layouts.hqq("", 4, 1, rows, columns, group),
    "compressed": lambda rows, columns, group: layouts.ct_pack("", 4, group, rows=rows, columns=columns),
    "fp8": lambda rows, columns, group: layouts.ct_float("", "channel"),
}
# These are made as goldens only: a kind for each way in which a layout's parts are read.
MORE = {
    "gptq-2bit": lambda rows, columns, group: layouts.gptq("", 2, rows, columns, group, False, version="gptq_v2"),
    "gptq-3bit": lambda rows, columns, group: layouts.gptq("", 3, rows, columns, group),
    "gptq-8bit": lambda rows, columns, group: layouts.gptq("", 8, rows, columns, group),
    "gptq-v2": lambda rows, columns, group: layouts.gptq("", 4, rows, columns, group, False, version="gptq_v2"),
    "awq-gemv": lambda rows, columns, group: layouts.awq("", "gemv", columns, group),
    "fp4": lambda rows, columns, group: layouts.bnb4("", "fp4", False, rows, columns),
    "hqq-2bit": lambda rows, columns, group: layouts.hqq("", 2, 1, rows, columns, group),
    "hqq-3bit": lambda rows, columns, group: layouts.hqq("", 3, 1, rows, columns, group),
    "hqq-8bit": lambda rows, columns, group: layouts.hqq("", 8, 1, rows, columns, group),
    "hqq-axis0": lambda rows, columns, group: layouts.hqq("", 4, 0, rows, columns, group, torch.float32),
    "compressed-asymmetric": lambda rows, columns, group: layouts.ct_pack("", 4, group, False, rows=rows, columns=columns),
    "compressed-int8": lambda *_: layouts.ct_int("", True, "channel"),
    "compressed-fp8-tensor": lambda *_: layouts.ct_float("", "tensor"),
    "compressed-fp8-block": lambda *_: layouts.ct_float("", "block", block_structure=[8, 32]),
    "compressed-nvfp4": lambda *_: layouts.ct_nvfp4(),
    "compressed-mxfp4": lambda *_: layouts.ct_mxfp4(),
    "fp8-tensor": lambda *_: layouts.fp8("", None),
    "fp8-rows": lambda *_: layouts.fp8_rows(),
    "fp8-block": lambda *_: layouts.fp8("", [16, 32]),
    "modelopt-nvfp4": lambda *_: layouts.modelopt_nvfp4(),
    "torchao-int4": lambda *_: layouts.torchao_int4(),
    "torchao-int8": lambda *_: layouts.torchao_int8(),
    "bitnet": lambda *_: layouts.bitnet("", "bitlinear"),
    "bitnet-auto": lambda *_: layouts.bitnet("", "autobitlinear"),
}
# Those of compressed-tensors 0.11, which alone writes them.
OLD = {
    "sparse24": lambda *_: layouts.old_ct_sparse("", "sparse-24-bitmask", False),
    "sparse24-fp8": lambda *_: layouts.old_ct_sparse("", "sparse-24-bitmask", True),
}
ALL = KINDS | MORE | OLD


class Writer:
    """Stands in for the goldens' weights and files: hands out one matrix and keeps what is written of it."""

    def __init__(self):
        layouts.weights = lambda *_, dtype=torch.float32, **__: self.matrix.to(dtype).clone()
        layouts.write = self.keep

    def keep(self, name, tensors, config, values, metadata=None, source=None):
        self.tensors, self.config, self.values, self.metadata = tensors, config, values, metadata or {}

    def quantize(self, make, matrix, group):
        self.matrix = matrix.float()
        make(*matrix.shape, group)
        return self.tensors


def quantize(model, kind, group, out, source):
    writer, tensors, metadata = Writer(), {}, {"format": "pt"}
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and name != "lm_head"}
    for name, tensor in model.state_dict().items():
        module = name.removesuffix(".weight")
        if module not in linear:
            if name != "lm_head.weight" or not model.config.tie_word_embeddings:
                tensors[name] = tensor.bfloat16()
            continue
        for part, value in writer.quantize(ALL[kind], tensor, group).items():
            tensors[module + part.removeprefix("m")] = value
        for key, value in writer.metadata.items():  # torchao's: by tensor, and a list of all of them
            if key.startswith("m."):
                metadata[module + key[1:]] = value
        if "tensor_names" in writer.metadata:
            metadata["tensor_names"] = json.dumps([*json.loads(metadata.get("tensor_names", "[]")), name])
        model.get_parameter(name).data = writer.values.float()
    out.mkdir(parents=True, exist_ok=True)
    if source:
        for file in source.iterdir():
            if file.suffix in (".json", ".jinja", ".model") and "safetensors" not in file.name:
                shutil.copy(file, out)
        config = json.loads((source / "config.json").read_text())
    else:
        config = json.loads(model.config.to_json_string())
    (out / "config.json").write_text(json.dumps(config | writer.config, indent=1) + "\n")
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, out / "model.safetensors",
              metadata=metadata)


def answer(model, out):
    tokens = torch.randint(3, model.config.vocab_size, (24,), generator=torch.Generator().manual_seed(5)).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), past_key_values=HalfCache(), use_cache=True).logits[0]
    rows = [[round(float(x), 6) for x in row] for row in logits[[7, -1]]]
    (out / "answer.json").write_text(json.dumps({"tokens": tokens, "logits": rows}) + "\n")


def tiny_model():
    torch.manual_seed(11)
    config = LlamaConfig(vocab_size=48, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=1,
                         eos_token_id=2)
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        scale, offset = (0.3, 1.0) if parameter.ndim == 1 else (1.5 / parameter.shape[-1] ** 0.5, 0.0)
        parameter.data = (torch.randn_like(parameter) * scale + offset).bfloat16().float()
    model.tie_weights()
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goldens", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("--old", help="folder of compressed-tensors 0.11: the goldens that it writes")
    parser.add_argument("places", nargs="*", help="SOURCE OUT [KIND...]")
    options = parser.parse_args()
    if options.old:
        sys.path.insert(0, options.old)
    if options.goldens:
        for kind in options.places or (OLD if options.old else KINDS | MORE):
            model = tiny_model()
            quantize(model, kind, 32 if kind != "hqq" else 64, options.goldens / kind, None)
            answer(model, options.goldens / kind)
            print(kind)
        return
    source, out = (pathlib.Path(place) for place in options.places[:2])
    for kind in options.places[2:] or KINDS:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
        quantize(model, kind, options.group, out / kind, source)
        if options.answer:
            answer(model, out / kind)
        print(kind)


if __name__ == "__main__":
    main()
