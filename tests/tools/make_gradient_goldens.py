#!/usr/bin/env python3
"""Writes tests/data/gradients: what torch's autograd says of tiny models of tests/data/folders.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors
    /tmp/oracle/bin/python tests/tools/make_gradient_goldens.py tests/data/folders tests/data/gradients [NAME...]

Of each model, in float32: gradient.safetensors has d loss / d weight of every weight, under the weight's name and in its
shape, so that it opens as a checkpoint of the family; loss.json has two texts and the loss, the mean of
-log p(next token) over the tokens of both.

"distillation" has the same of one of them as the student of a teacher, whose logits and last hidden states loss.json has,
too, a row a token: the loss is alpha T^2 KL(teacher || student) + (1 - alpha) -log p(next token) + cosine (1 - cos).
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
STUDENT = "qwen3"
DISTILLATION = {"alpha": 0.7, "temperature": 2.5, "cosine": 0.3}


def open_model(base: pathlib.Path):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()


def make(base: pathlib.Path, folder: pathlib.Path) -> None:
    torch.manual_seed(sum(base.name.encode()) + 1)
    model = open_model(base)
    texts = [torch.randint(3, 64, (length,)) for length in LENGTHS]
    losses = []
    for text in texts:
        logits = model(text[None], use_cache=False).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits[:-1], text[1:], reduction="none"))
    answer = {"texts": [text.tolist() for text in texts]}
    write(base.name, model, torch.cat(losses).mean(), answer, folder)


def make_distillation(base: pathlib.Path, folder: pathlib.Path) -> None:
    torch.manual_seed(1)
    model = open_model(base)
    alpha, temperature, cosine = DISTILLATION.values()
    texts = [torch.randint(3, 64, (length,)) for length in LENGTHS]
    teacher = {"logits": [], "hidden": []}
    losses = []
    for text in texts:
        hidden = model.model(text[None], use_cache=False).last_hidden_state[0][:-1]
        logits = model.lm_head(hidden)
        taught = (2 * torch.randn_like(logits)).mul(100).round().div(100)
        directions = torch.randn_like(hidden).mul(100).round().div(100)
        soft = torch.nn.functional.kl_div(
            torch.log_softmax(logits / temperature, 1), torch.softmax(taught / temperature, 1), reduction="none"
        ).sum(1)
        hard = torch.nn.functional.cross_entropy(logits, text[1:], reduction="none")
        apart = torch.nn.functional.cosine_embedding_loss(hidden, directions, torch.ones(len(hidden)), reduction="none")
        losses.append(alpha * temperature**2 * soft + (1 - alpha) * hard + cosine * apart)
        teacher["logits"] += [[round(float(x), 2) for x in row] for row in taught]
        teacher["hidden"] += [[round(float(x), 2) for x in row] for row in directions]
    answer = {"student": base.name, **DISTILLATION, "texts": [text.tolist() for text in texts], **teacher}
    write(base.name, model, torch.cat(losses).mean(), answer, folder)


def write(name_of_model: str, model, loss: torch.Tensor, answer: dict, folder: pathlib.Path) -> None:
    loss.backward()
    gradients = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
        gradients[RENAMED.get((name_of_model, name), name)] = parameter.grad.contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(gradients, folder / "gradient.safetensors", metadata={"format": "pt"})
    answer["loss"] = round(loss.item(), 7)
    (folder / "loss.json").write_text(json.dumps(answer) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    bases, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    print("transformers", transformers.__version__, "torch", torch.__version__)
    for name in sys.argv[3:] or [*NAMES, "distillation"]:
        if name == "distillation":
            make_distillation(bases / STUDENT, out / name)
        else:
            make(bases / name, out / name)
        print(f"{name}: {sum(file.stat().st_size for file in (out / name).iterdir())} bytes")


if __name__ == "__main__":
    main()
