#!/usr/bin/env python3
"""Writes tests/data/gradients: what torch's autograd says of tiny models of tests/data/folders.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors
    /tmp/oracle/bin/python tests/tools/make_gradient_goldens.py tests/data/folders tests/data/gradients [NAME...]

Of each model, in float32: gradient.safetensors has d loss / d weight of every weight, under the weight's name and in its
shape, so that it opens as a checkpoint of the family; loss.json has two texts and the loss, the mean of
-log p(next token) over the tokens of both.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

NAMES = ["llama-scaled", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "gpt-neox", "bloom", "cohere2", "granite"]
RENAMED = {("gpt-neox", "lm_head.weight"): "embed_out.weight"}  # by save_pretrained
LENGTHS = [20, 18]  # both beyond phi3's original context


def make(base: pathlib.Path, folder: pathlib.Path) -> None:
    torch.manual_seed(sum(base.name.encode()) + 1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    texts = [torch.randint(3, 64, (length,)) for length in LENGTHS]
    losses = []
    for text in texts:
        logits = model(text[None], use_cache=False).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits[:-1], text[1:], reduction="none"))
    loss = torch.cat(losses).mean()
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        gradients[RENAMED.get((base.name, name), name)] = parameter.grad.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(gradients, folder / "gradient.safetensors", metadata={"format": "pt"})
    answer = {"texts": [text.tolist() for text in texts], "loss": round(float(loss), 7)}
    (folder / "loss.json").write_text(json.dumps(answer) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    bases, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    print("transformers", transformers.__version__, "torch", torch.__version__)
    for name in sys.argv[3:] or NAMES:
        make(bases / name, out / name)
        print(f"{name}: {sum(file.stat().st_size for file in (out / name).iterdir())} bytes")


if __name__ == "__main__":
    main()
