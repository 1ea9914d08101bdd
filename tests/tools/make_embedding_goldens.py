#!/usr/bin/env python3
"""Writes tests/data/embeddings: tiny random models that embed texts, as transformers saves them, and what it makes of texts.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors
    /tmp/oracle/bin/python tests/tools/make_embedding_goldens.py tests/data/embeddings [NAME...]

Each folder holds config.json, model.safetensors (float32), the modules of sentence-transformers where the model has
some, and answer.json: texts as token ids, each with its final hidden states pooled as the modules say (mean, if there
are none) and taken through their dense layers, computed by transformers in float32 with keys and values in float16.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AttentionInterface, AutoConfig, AutoModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

VOCABULARY = 64
# Shorter than a window, longer than several, and longer than a step of other models has rows.
LENGTHS = [1, 2, 9, 33, 70]
COMMON = dict(
    vocab_size=VOCABULARY,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=80,
    pad_token_id=0,
)
ROPES = {
    "full_attention": {"rope_type": "default", "rope_theta": 1000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}
# name: model type, changes of its configuration, pooling, widths of dense layers, further lengths.
MODELS = {
    "bert": ("bert", dict(layer_norm_eps=1e-12), "cls", [], []),
    "bert-plain": ("bert", dict(num_attention_heads=4), None, [], []),
    "xlm-roberta": ("xlm-roberta", dict(max_position_embeddings=82, pad_token_id=1, type_vocab_size=1), "mean", [], []),
    "nomic-bert": ("nomic_bert", dict(), "mean", [], []),
    "modern-bert": (
        "modernbert",
        dict(
            num_hidden_layers=4,
            local_attention=16,
            global_attn_every_n_layers=3,
            max_position_embeddings=700,
            rope_parameters=ROPES,
        ),
        "lasttoken",
        [],
        [600],
    ),
    "gemma-embedding": (
        "gemma3_text",
        dict(
            num_hidden_layers=3,
            num_key_value_heads=1,
            head_dim=8,
            query_pre_attn_scalar=16,
            sliding_window=16,
            sliding_window_pattern=3,
            use_bidirectional_attention=True,
            rope_parameters=ROPES,
        ),
        "mean",
        [32, 16],
        [],
    ),
}


def half_attention(module, query, key, value, attention_mask, scaling=None, **more):
    """Keys and values in float16, as Tessera keeps them."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.half().float().repeat_interleave(groups, 1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[2]]
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("half", half_attention)
AttentionMaskInterface.register("half", eager_mask)


def scaled(parameter: torch.Tensor, is_norm: bool) -> torch.Tensor:
    """Larger than at the start of a training, so that attention and norms have something to say."""
    scale = 0.3 if parameter.ndim == 1 else 1.5 / parameter.shape[-1] ** 0.5
    return torch.randn_like(parameter) * scale + (1.0 if is_norm else 0.0)


def write_json(path: pathlib.Path, content) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_modules(folder: pathlib.Path, pooling: str, dense: list, width: int) -> list[torch.Tensor]:
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    flags = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}
    config = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **config})
    weights = []
    for rows in dense:
        path = f"{len(modules)}_Dense"
        modules.append(("Dense", path))
        features = dict(in_features=width, out_features=rows, bias=False)
        write_json(folder / path / "config.json", {**features, "activation_function": "torch.nn.modules.linear.Identity"})
        weights.append(scaled(torch.empty(rows, width), False))
        save_file({"linear.weight": weights[-1]}, folder / path / "model.safetensors")
        width = rows
    modules.append(("Normalize", f"{len(modules)}_Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    write_json(folder / "modules.json", listed)
    return weights


def make(name: str, folder: pathlib.Path) -> None:
    kind, changes, pooling, dense, more = MODELS[name]
    torch.manual_seed(sum(name.encode()))
    known = AutoConfig.for_model(kind).to_dict()
    common = {key: value for key, value in COMMON.items() if key in known}
    config = AutoConfig.for_model(kind, **(common | changes))
    config._attn_implementation = "half"
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            is_norm = "norm" in parameter_name.lower() and parameter_name.endswith("weight")
            parameter.copy_(scaled(parameter, is_norm and not kind.startswith("gemma")))
    model.save_pretrained(folder)
    weights = write_modules(folder, pooling, dense, COMMON["hidden_size"]) if pooling else []
    texts = []
    for length in LENGTHS + more:
        tokens = torch.randint(3, VOCABULARY, (length,)).tolist()
        with torch.no_grad():
            hidden = model(torch.tensor([tokens])).last_hidden_state[0]
            vector = {"cls": hidden[0], "lasttoken": hidden[-1]}.get(pooling, hidden.mean(0))
            for matrix in weights:
                vector = matrix @ vector
        texts.append({"tokens": tokens, "embedding": [round(float(x), 7) for x in vector]})
    (folder / "answer.json").write_text(json.dumps(texts) + "\n")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    print("transformers", transformers.__version__)
    for name in sys.argv[2:] or list(MODELS):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        make(name, folder)
        print(f"{name}: {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file())} bytes")


if __name__ == "__main__":
    main()
