#!/usr/bin/env python3
"""Writes tests/data/lora: an adapter for each tiny model of tests/data/folders as PEFT saves it, and what it answers.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors peft
    /tmp/oracle/bin/python tests/tools/make_lora_goldens.py tests/data/folders tests/data/lora

Each folder holds adapter_config.json, adapter_model.safetensors and answer.json: token ids and the logits of two of them,
computed by transformers and PEFT in float32 with keys and values in float16, by the adapter's own scale and by half of it.
"""
import json
import pathlib
import sys

import peft
import torch
import transformers
from folder_models import COMMON, TOKENS
from make_folder_goldens import HalfCache
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Of the model in the folder of that name: what the adapter is for, and how it is scaled.
ADAPTERS = {
    "llama": dict(r=2, lora_alpha=4, target_modules=ALL),
    "llama-biased": dict(r=2, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "k_proj", "lm_head"]),
    "qwen2": dict(
        r=2,
        lora_alpha=4,
        target_modules=ALL,
        rank_pattern={"down_proj": 3, "^model.layers.0.self_attn.q_proj": 1},
        alpha_pattern={"layers.1.mlp.up_proj": 1, "k_proj": 7},
    ),
    "qwen3": dict(r=3, lora_alpha=3, target_modules=["q_proj", "v_proj", "gate_proj"], layers_to_transform=[1]),
    "gemma2": dict(r=2, lora_alpha=4, target_modules=["k_proj", "o_proj", "up_proj"]),
    "gemma3": dict(r=2, lora_alpha=4, target_modules="all-linear"),
    "phi3": dict(r=2, lora_alpha=4, use_rslora=True, target_modules="all-linear"),
}
PLACES = [7, TOKENS - 1]


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]), past_key_values=HalfCache(), use_cache=True).logits[0][PLACES]


def rounded(logits):
    return [[round(float(x), 6) for x in row] for row in logits]


def make(base: pathlib.Path, settings: dict, folder: pathlib.Path) -> None:
    torch.manual_seed(sum(base.name.encode()))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.randint(3, COMMON["vocab_size"], (TOKENS,)).tolist()
    plain = logits_of(model, tokens)
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.05, **settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    whole = logits_of(model, tokens)
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", 0.5)
    half = logits_of(model, tokens)
    assert (whole - plain).abs().max() > 0.1 and (whole - half).abs().max() > 0.1
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = folder / "adapter_config.json"
    text = json.loads(config.read_text())
    text["base_model_name_or_path"] = base.name  # instead of a path on this machine
    if isinstance(text["target_modules"], list):
        text["target_modules"].sort()
    config.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    answer = {"places": PLACES, "tokens": tokens, "logits": rounded(whole), "half": rounded(half)}
    (folder / "answer.json").write_text(json.dumps(answer) + "\n")


def main() -> None:
    bases, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    print("transformers", transformers.__version__, "peft", peft.__version__)
    for name, settings in ADAPTERS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        make(bases / name, settings, folder)
        print(f"{name}: {sum(file.stat().st_size for file in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
