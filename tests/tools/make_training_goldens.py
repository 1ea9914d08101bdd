#!/usr/bin/env python3
"""Writes tests/data/training.json: the losses of 200 steps of torch's AdamW on a tiny model of tests/data/folders.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers
    /tmp/oracle/bin/python tests/tools/make_training_goldens.py tests/data/folders tests/data/training.json

In float32: every weight of "qwen3" learns 16 texts, four a step, one after the other. The rate rises over 10 steps and
declines to zero by a cosine; the gradient's length is clipped to 1; weights decay.
"""
import json
import math
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM

STEPS, WARMUP, RATE, BATCH, TEXTS, LENGTH = 200, 10, 0.002, 4, 16, 20


def rate_at(step: int) -> float:
    if step < WARMUP:
        return (step + 1) / (WARMUP + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def main() -> None:
    torch.set_num_threads(1)
    folder, out = pathlib.Path(sys.argv[1]) / "qwen3", pathlib.Path(sys.argv[2])
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").train()
    texts = [torch.randint(3, 64, (LENGTH,)) for _ in range(TEXTS)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_at)
    losses = []
    for step in range(STEPS):
        batch = torch.stack([texts[(step * BATCH + i) % TEXTS] for i in range(BATCH)])
        logits = model(batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
        losses.append(round(float(loss), 6))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    golden = {"texts": [text.tolist() for text in texts], "losses": losses}
    out.write_text(json.dumps(golden) + "\n")
    print(losses[0], losses[-1], out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
