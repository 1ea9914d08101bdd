#!/usr/bin/env python3
"""Writes tests/data/folders: a tiny random model of each family as transformers saves it, and what it answers.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors
    /tmp/oracle/bin/python tests/tools/make_folder_goldens.py tests/data/folders [MODEL...]

Each folder holds config.json, model.safetensors (bfloat16; one of them in shards with an index) and answer.json: token
ids and the logits of the last of them, computed by transformers in float32 with keys and values in float16.
"""
import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

COMMON = dict(
    vocab_size=64,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
    tie_word_embeddings=False,
)
GEMMA = dict(head_dim=8, query_pre_attn_scalar=16, sliding_window=8, tie_word_embeddings=True)
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=8)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {
    "type": "longrope",
    "long_factor": [1.0, 1.5, 3.0],
    "short_factor": [1.0, 1.1, 1.2],
}
MODELS = {
    "llama": ("llama", dict(rope_theta=10000.0)),
    "llama-scaled": ("llama", dict(rope_theta=500000.0, rope_scaling=LLAMA3, tie_word_embeddings=True)),
    "llama-biased": ("llama", dict(attention_bias=True, head_dim=16)),
    "mistral": ("mistral", dict(sliding_window=8)),
    "qwen2": ("qwen2", dict(rope_scaling=YARN)),
    "qwen3": ("qwen3", dict(head_dim=16)),
    "mixtral": ("mixtral", dict(num_local_experts=4, num_experts_per_tok=2)),
    "qwen2-moe": ("qwen2_moe", dict(EXPERTS, num_experts=6, shared_expert_intermediate_size=12, norm_topk_prob=False)),
    "qwen3-moe": ("qwen3_moe", dict(EXPERTS, num_experts=6, head_dim=16, norm_topk_prob=True)),
    "deepseek-v3": (
        "deepseek_v3",
        dict(
            EXPERTS,
            num_hidden_layers=3,
            num_key_value_heads=2,
            n_routed_experts=8,
            n_shared_experts=1,
            n_group=4,
            topk_group=2,
            first_k_dense_replace=1,
            q_lora_rank=12,
            kv_lora_rank=12,
            qk_rope_head_dim=4,
            qk_nope_head_dim=8,
            v_head_dim=6,
            rope_parameters=dict(YARN, rope_theta=10000.0, mscale=1.0, mscale_all_dim=1.0),
        ),
    ),
    "glm4-moe": (
        "glm4_moe",
        dict(
            EXPERTS,
            num_hidden_layers=3,
            n_routed_experts=6,
            n_shared_experts=2,
            first_k_dense_replace=1,
            routed_scaling_factor=1.5,
            use_qk_norm=True,
            attention_bias=True,
            head_dim=16,
        ),
    ),
    "gpt-oss": (
        "gpt_oss",
        dict(
            num_local_experts=4,
            num_experts_per_tok=2,
            head_dim=8,
            sliding_window=8,
            rope_parameters=dict(YARN, rope_theta=150000.0, beta_fast=32.0, beta_slow=1.0, truncate=False),
        ),
    ),
    "gemma2": ("gemma2", dict(GEMMA, num_hidden_layers=3)),
    "gemma3": (
        "gemma3_text",
        dict(GEMMA, num_hidden_layers=3, sliding_window_pattern=3, rope_local_base_freq=100.0, rope_theta=10000.0),
    ),
    "phi3": (
        "phi3",
        dict(
            rope_scaling=LONG,
            partial_rotary_factor=0.75,
            original_max_position_embeddings=16,
            max_position_embeddings=64,
        ),
    ),
}
TOKENS = 24


class HalfCache(DynamicCache):
    """Keys and values in float16, as Tessera keeps them."""

    def update(self, key_states, value_states, *arguments, **more):
        return super().update(key_states.half().float(), value_states.half().float(), *arguments, **more)


def make(name: str, kind: str, changes: dict, folder: pathlib.Path) -> None:
    torch.manual_seed(sum(name.encode()))
    config = AutoConfig.for_model(kind, **(COMMON | changes))
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            # Larger than at the start of a training, so that attention and norms have something to say.
            scale = 0.3 if parameter.ndim == 1 else 1.5 / parameter.shape[-1] ** 0.5
            offset = 1.0 if "norm" in parameter_name and not kind.startswith("gemma") else 0.0
            parameter.copy_((torch.randn_like(parameter) * scale + offset).bfloat16().float())
        for buffer_name, buffer in model.named_buffers():
            if buffer_name.endswith("e_score_correction_bias"):
                buffer.copy_((torch.randn_like(buffer) * 0.3).bfloat16().float())
    tokens = torch.randint(3, COMMON["vocab_size"], (TOKENS,)).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), past_key_values=HalfCache(), use_cache=True).logits[0]
    shard = "6KB" if name == "llama" else "5GB"
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard)
    (folder / "generation_config.json").unlink(missing_ok=True)
    answer = {"tokens": tokens, "logits": [[round(float(x), 6) for x in row] for row in logits[[7, -1]]]}
    (folder / "answer.json").write_text(json.dumps(answer) + "\n")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    wanted = sys.argv[2:] or list(MODELS)
    print("transformers", transformers.__version__)
    for name in wanted:
        kind, changes = MODELS[name]
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        make(name, kind, changes, folder)
        print(f"{name}: {sum(file.stat().st_size for file in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
