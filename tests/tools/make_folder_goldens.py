#!/usr/bin/env python3
"""Writes tests/data/folders: a tiny random model of each family as transformers saves it, and what it answers.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install torch transformers safetensors
    /tmp/oracle/bin/python tests/tools/make_folder_goldens.py tests/data/folders [NAME...]

Each folder holds config.json, model.safetensors (bfloat16; one of them in shards with an index) and answer.json: token
ids and the logits of the last of them, computed by transformers in float32 with keys and values in float16. Those whose
names end in "-mtp" hold a layer for further tokens, too, and answer.json its logits under "next". deepseek-v3-fp8 holds
its matrices in FP8 with scales by block, as DeepSeek ships them, and mamba2-state-spaces is called as state-spaces/mamba does.
"""
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, DynamicCache

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
GEMMA4 = dict(
    head_dim=8,
    global_head_dim=16,
    sliding_window=8,
    final_logit_softcapping=10.0,
    tie_word_embeddings=True,
)
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=8)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
MINISTRAL = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 8,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.3,
}
MROPE = {"rope_type": "default", "mrope_section": [2, 1, 1]}
VISION2 = dict(depth=1, patch_size=4, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=16, fullatt_block_indexes=[0])
VISION3 = dict(depth=1, patch_size=4, num_position_embeddings=4, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=16, deepstack_visual_indexes=[0])
# Rows from 8 and from 16 on begin chunks; queries grow from positions 4, 9, 14 and 19 on.
LLAMA4 = dict(
    head_dim=8,
    num_local_experts=4,
    num_experts_per_tok=1,
    intermediate_size=12,
    intermediate_size_mlp=24,
    attention_chunk_size=8,
    floor_scale=5,
    attn_scale=0.3,
)
GPT = dict(n_embd=16, n_layer=2, n_head=2)
FALCON = dict(parallel_attn=True, alibi=False, bias=False, tie_word_embeddings=True)
# Of recurrent layers: two heads share a key; the fourth layer of five attends.
DELTA = dict(
    num_hidden_layers=5,
    head_dim=16,
    linear_key_head_dim=8,
    linear_value_head_dim=6,
    linear_num_key_heads=2,
    linear_num_value_heads=4,
)
HYBRID = ["linear_attention", "linear_attention", "full_attention", "linear_attention"]
MAMBA = dict(mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=12, mamba_expand=2)
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
    "qwen35": ("qwen3_5_text", dict(DELTA)),
    "qwen35-moe": (
        "qwen3_5_moe_text",
        DELTA | EXPERTS | dict(num_experts=6, shared_expert_intermediate_size=12),
    ),
    "qwen3-next": (
        "qwen3_next",
        DELTA | EXPERTS | dict(num_experts=6, shared_expert_intermediate_size=12),
    ),
    "lfm2": (
        "lfm2",
        dict(
            layer_types=["conv", "full_attention", "conv"],
            num_hidden_layers=3,
            block_multiple_of=8,
            tie_word_embeddings=True,
        ),
    ),
    "lfm2-moe": (
        "lfm2_moe",
        dict(
            EXPERTS,
            layer_types=["conv", "full_attention", "conv"],
            num_hidden_layers=3,
            num_experts=6,
            num_dense_layers=1,
            tie_word_embeddings=True,
        ),
    ),
    "granite-hybrid": (
        "granitemoehybrid",
        dict(
            MAMBA,
            layer_types=HYBRID,
            num_hidden_layers=4,
            num_local_experts=0,
            shared_intermediate_size=24,
            position_embedding_type="nope",
            embedding_multiplier=3.0,
            residual_multiplier=0.7,
            attention_multiplier=0.25,
            logits_scaling=0.5,
        ),
    ),
    "granite-hybrid-moe": (
        "granitemoehybrid",
        dict(
            MAMBA,
            layer_types=HYBRID,
            num_hidden_layers=4,
            num_local_experts=6,
            num_experts_per_tok=2,
            intermediate_size=8,
            shared_intermediate_size=12,
            position_embedding_type="rope",
        ),
    ),
    "nemotron-h": (
        "nemotron_h",
        dict(
            layers_block_type=["linear_attention", "mlp", "full_attention", "linear_attention", "mlp"],
            head_dim=16,
            mamba_num_heads=4,
            mamba_head_dim=8,
            n_groups=2,
            ssm_state_size=12,
        ),
    ),
    "nemotron-h-moe": (
        "nemotron_h",
        dict(
            EXPERTS,
            layers_block_type=["linear_attention", "moe", "full_attention", "linear_attention", "moe", "mlp"],
            head_dim=16,
            mamba_num_heads=4,
            mamba_head_dim=8,
            n_groups=2,
            ssm_state_size=12,
            n_routed_experts=6,
            moe_shared_expert_intermediate_size=12,
            routed_scaling_factor=1.5,
        ),
    ),
    "nemotron-h-latent": (
        "nemotron_h",
        dict(
            EXPERTS,
            layers_block_type=["linear_attention", "moe", "full_attention", "moe"],
            head_dim=16,
            mamba_num_heads=4,
            mamba_head_dim=8,
            n_groups=1,
            ssm_state_size=12,
            n_routed_experts=8,
            n_group=4,
            topk_group=2,
            moe_latent_size=12,
            moe_shared_expert_intermediate_size=12,
        ),
    ),
    "falcon-h1": (
        "falcon_h1",
        dict(
            head_dim=8,
            mamba_n_heads=4,
            mamba_d_head=8,
            mamba_d_ssm=32,
            mamba_n_groups=2,
            mamba_d_state=12,
            mamba_rms_norm=False,
            embedding_multiplier=2.0,
            lm_head_multiplier=0.5,
            mlp_multipliers=[0.7, 1.3],
            ssm_multipliers=[0.5, 0.8, 1.2, 0.9, 1.1],
            key_multiplier=0.6,
            attention_in_multiplier=1.1,
            attention_out_multiplier=0.8,
            ssm_in_multiplier=1.25,
            ssm_out_multiplier=0.4,
        ),
    ),
    "falcon-h1-norm": (
        "falcon_h1",
        dict(
            head_dim=8,
            mamba_n_heads=4,
            mamba_d_head=8,
            mamba_d_ssm=32,
            mamba_n_groups=2,
            mamba_d_state=12,
            mamba_rms_norm=True,
            mamba_norm_before_gate=False,
            key_multiplier=0.6,
            embedding_multiplier=2.0,
            lm_head_multiplier=0.5,
            tie_word_embeddings=True,
        ),
    ),
    "mamba2": ("mamba2", dict(num_heads=4, head_dim=8, state_size=12, n_groups=2, expand=2)),
    "deepseek-v2": (
        "deepseek_v2",
        dict(
            EXPERTS,
            num_hidden_layers=3,
            num_key_value_heads=2,
            n_routed_experts=8,
            n_shared_experts=2,
            topk_method="group_limited_greedy",
            n_group=4,
            topk_group=2,
            first_k_dense_replace=1,
            routed_scaling_factor=2.0,
            q_lora_rank=12,
            kv_lora_rank=12,
            qk_rope_head_dim=4,
            qk_nope_head_dim=8,
            v_head_dim=6,
            rope_parameters=dict(YARN, rope_theta=10000.0, mscale=0.7, mscale_all_dim=0.7),
        ),
    ),
    "deepseek-v2-lite": (
        "deepseek_v2",
        dict(
            EXPERTS,
            num_key_value_heads=2,
            n_routed_experts=6,
            n_shared_experts=1,
            first_k_dense_replace=1,
            q_lora_rank=None,
            kv_lora_rank=12,
            qk_rope_head_dim=4,
            qk_nope_head_dim=8,
            v_head_dim=6,
        ),
    ),
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
    "glm4-moe-lite": (
        "glm4_moe_lite",
        dict(
            EXPERTS,
            num_hidden_layers=3,
            num_key_value_heads=2,
            n_routed_experts=6,
            n_shared_experts=1,
            routed_scaling_factor=1.5,
            q_lora_rank=12,
            kv_lora_rank=12,
            qk_rope_head_dim=4,
            qk_nope_head_dim=8,
            v_head_dim=6,
        ),
    ),
    "olmoe": ("olmoe", dict(num_experts=6, num_experts_per_tok=2)),
    "minimax-m2": (
        "minimax_m2",
        dict(num_local_experts=6, num_experts_per_tok=2, head_dim=8, rotary_dim=4, rope_theta=10000.0),
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
    "gemma4": (  # as E2B: per-layer inputs, layers that share keys and values
        "gemma4_text",
        dict(
            GEMMA4,
            num_hidden_layers=6,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
            num_kv_shared_layers=3,
            use_double_wide_mlp=True,
            vocab_size_per_layer_input=64,
            hidden_size_per_layer_input=4,
        ),
    ),
    "gemma4-moe": (  # as 26B-A4B: keys in the place of values, experts beside a dense network
        "gemma4_text",
        dict(
            GEMMA4,
            num_hidden_layers=3,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            num_key_value_heads=2,
            num_global_key_value_heads=1,
            attention_k_eq_v=True,
            hidden_size_per_layer_input=0,
            use_bidirectional_attention="vision",
            enable_moe_block=True,
            num_experts=6,
            top_k_experts=2,
            moe_intermediate_size=8,
        ),
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
    "gemma": ("gemma", dict(head_dim=16, tie_word_embeddings=True)),
    "smollm3": ("smollm3", dict(num_hidden_layers=5, use_sliding_window=False)),
    "olmo2": ("olmo2", dict()),
    "olmo3": ("olmo3", dict(num_hidden_layers=4, sliding_window=8, rope_scaling=YARN)),
    "granite": (
        "granite",
        dict(embedding_multiplier=3.0, residual_multiplier=0.7, attention_multiplier=0.25, logits_scaling=0.5),
    ),
    "seed-oss": ("seed_oss", dict(head_dim=16, attention_bias=True)),
    "exaone4": ("exaone4", dict(num_hidden_layers=4, sliding_window=8, sliding_window_pattern=4)),
    "exaone4-global": ("exaone4", dict(sliding_window=None, layer_types=["full_attention"] * 2, rope_scaling=LLAMA3)),
    "ministral3": ("ministral3", dict(head_dim=16, rope_parameters=MINISTRAL)),
    "qwen2-vl": ("qwen2_5_vl", dict(text=dict(rope_parameters=dict(MROPE, rope_theta=10000.0)), vision=VISION2)),
    "qwen3-vl": ("qwen3_vl", dict(text=dict(rope_parameters=dict(MROPE, rope_theta=10000.0), head_dim=8), vision=VISION3)),
    "gpt2": ("gpt2", dict(GPT, activation_function="gelu_new", n_positions=64)),
    "opt": (
        "opt",
        dict(ffn_dim=24, word_embed_proj_dim=16, activation_function="relu", tie_word_embeddings=True),
    ),
    "gpt-neox": ("gpt_neox", dict(rotary_pct=0.5, use_parallel_residual=True)),
    "gpt-neox-in-turn": ("gpt_neox", dict(rotary_pct=0.5, use_parallel_residual=False)),
    "phi": ("phi", dict(partial_rotary_factor=0.5, hidden_act="gelu_new")),
    "starcoder2": ("starcoder2", dict(use_bias=True, sliding_window=None, tie_word_embeddings=True)),
    "stablelm": ("stablelm", dict(use_qkv_bias=True, partial_rotary_factor=0.5)),
    "stablelm-parallel": ("stablelm", dict(use_parallel_residual=True, partial_rotary_factor=0.5)),
    "stablelm-heads": (
        "stablelm",
        dict(num_attention_heads=4, num_key_value_heads=2, qk_layernorm=True, use_parallel_residual=True, partial_rotary_factor=0.5),
    ),
    "cohere": ("cohere", dict(logit_scale=0.5, tie_word_embeddings=True)),
    "cohere-plus": ("cohere", dict(num_attention_heads=4, num_key_value_heads=2, use_qk_norm=True, logit_scale=0.5, tie_word_embeddings=True)),
    "cohere2": ("cohere2", dict(num_hidden_layers=4, head_dim=8, sliding_window=8, logit_scale=0.5, tie_word_embeddings=True)),
    "falcon": ("falcon", dict(FALCON, multi_query=True)),
    "falcon-grouped": (
        "falcon",
        dict(
            FALCON,
            new_decoder_architecture=True,
            num_ln_in_parallel_attn=1,
            hidden_size=32,
            num_attention_heads=4,
            num_kv_heads=2,
            ffn_hidden_size=40,
        ),
    ),
    "falcon-two-norms": (
        "falcon",
        dict(
            FALCON,
            new_decoder_architecture=True,
            num_ln_in_parallel_attn=2,
            hidden_size=32,
            num_attention_heads=4,
            num_kv_heads=2,
            ffn_hidden_size=40,
        ),
    ),
    "llama4": (
        "llama4_text",
        dict(
            LLAMA4,
            num_hidden_layers=5,
            interleave_moe_layer_step=2,
            rope_scaling=LLAMA3,
        ),
    ),
    "llama4-plain": (
        "llama4_text",
        dict(LLAMA4, interleave_moe_layer_step=1, use_qk_norm=False, attn_temperature_tuning=False),
    ),
    "bloom": ("bloom", dict(hidden_size=16, n_layer=2, n_head=2, tie_word_embeddings=True)),
    "bloom-3-heads": ("bloom", dict(n_layer=2, n_head=3, hidden_size=24, tie_word_embeddings=True)),
    "mpt": (
        "mpt",
        dict(d_model=16, n_heads=2, n_layers=2, max_seq_len=64, tie_word_embeddings=True),
    ),
}
# With a layer for further tokens, which is as this one of the model's.
LAYER_FOR_FURTHER_TOKENS = {"qwen35-mtp": 3, "qwen3-next-mtp": 3, "glm4-moe-mtp": 2, "deepseek-v3-mtp": 2}
MODELS |= {name: MODELS[name.removesuffix("-mtp")] for name in LAYER_FOR_FURTHER_TOKENS}
FP8_BLOCK = 8  # rows and columns, so that heads lie across blocks
MODELS["deepseek-v3-fp8"] = MODELS["deepseek-v3"]
MODELS["mamba2-state-spaces"] = ("mamba2", dict(num_heads=4, head_dim=8, state_size=12, n_groups=1, expand=2, tie_word_embeddings=True))
TOKENS = 24


class HalfCache(DynamicCache):
    """Keys and values in float16, as Tessera keeps them."""

    def update(self, key_states, value_states, *arguments, **more):
        return super().update(key_states.half().float(), value_states.half().float(), *arguments, **more)


def fill(module: torch.nn.Module, kind: str) -> None:
    with torch.no_grad():
        for parameter_name, parameter in module.named_parameters():
            # Larger than at the start of a training, so that attention and norms have something to say.
            scale = 0.3 if parameter.ndim == 1 else 1.5 / parameter.shape[-1] ** 0.5
            is_norm = parameter_name.endswith("weight") and ("norm" in parameter_name or ".ln_" in parameter_name)
            # Norms that multiply with 1 + weight; a router's and experts' scales are no norms by name.
            adds_one = kind in ("gemma", "gemma2", "gemma3_text")
            offset = 1.0 if (is_norm and not adds_one) or parameter_name.endswith("scale") else 0.0
            parameter.copy_((torch.randn_like(parameter) * scale + offset).bfloat16().float())
        for buffer_name, buffer in module.named_buffers():
            if buffer_name.endswith("e_score_correction_bias"):
                buffer.copy_((torch.randn_like(buffer) * 0.3).bfloat16().float())
            if buffer_name.endswith("layer_scalar"):
                buffer.copy_((torch.rand_like(buffer) + 0.5).bfloat16().float())


class FurtherTokens(torch.nn.Module):
    """DeepSeek-V3's multi-token prediction (arXiv 2412.19437, 2.2), of the parts that a model of transformers is made of."""

    def __init__(self, model, like: int):
        super().__init__()
        layer, norm = model.model.layers[like], model.model.norm
        self.like = like
        self.layer = type(layer)(model.config, like)
        size = model.config.hidden_size
        self.embedding_norm, self.hidden_norm, self.norm = (type(norm)(size, model.config.rms_norm_eps) for _ in range(3))
        self.projection = torch.nn.Linear(2 * size, size, bias=False)

    def forward(self, model, tokens: list[int]) -> torch.Tensor:
        """Row t: the logits of what follows tokens[t + 1]."""
        hidden = model.model(torch.tensor([tokens]), use_cache=True, past_key_values=half_cache(model.config)).last_hidden_state
        embedded = model.model.embed_tokens(torch.tensor([tokens[1:]]))
        x = self.projection(torch.cat([self.embedding_norm(embedded), self.hidden_norm(hidden[:, :-1])], dim=-1))
        rows = x.shape[1]
        positions = torch.arange(rows)[None]
        mask = torch.full((rows, rows), float("-inf")).triu(1)[None, None]
        x = self.layer(
            x,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=half_cache(model.config),
            use_cache=True,
            position_embeddings=model.model.rotary_emb(x, positions),
        )
        x = x[0] if isinstance(x, tuple) else x
        return model.lm_head(self.norm(x))[0]

    def tensors(self, model, kind: str) -> dict[str, torch.Tensor]:
        """As published checkpoints call them, in bfloat16."""
        apart = kind.startswith("qwen")
        prefix = "mtp.layers.0." if apart else f"model.layers.{model.config.num_hidden_layers}."
        # transformers keeps the experts of a layer together, and renames them where it loads and saves.
        # Here a layer of the model itself is saved with this one's weights.
        own = model.model.layers[self.like]
        kept = {name: value.clone() for name, value in own.state_dict().items()}
        own.load_state_dict(self.layer.state_dict())
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            saved = load_file(pathlib.Path(folder) / "model.safetensors")
        own.load_state_dict(kept)
        start = f"model.layers.{self.like}."
        tensors = {prefix + name.removeprefix(start): value for name, value in saved.items() if name.startswith(start)}
        for published, numbered, module in [
            ("fc", "eh_proj", self.projection),
            ("pre_fc_norm_embedding", "enorm", self.embedding_norm),
            ("pre_fc_norm_hidden", "hnorm", self.hidden_norm),
            ("norm", "shared_head.norm", self.norm),
        ]:
            tensors["mtp." + published + ".weight" if apart else prefix + numbered + ".weight"] = module.weight.data
        return {name: value.bfloat16().contiguous() for name, value in tensors.items()}


def to_fp8(folder: pathlib.Path) -> None:
    """Every matrix but embeddings, output and routers, in place."""
    file = folder / "model.safetensors"
    tensors = {}
    for name, value in load_file(file).items():
        if value.ndim != 2 or any(part in name for part in ("embed_tokens", "lm_head", ".gate.")):
            tensors[name] = value
            continue
        rows, columns = value.shape
        more = [(-size) % FP8_BLOCK for size in (columns, rows)]
        padded = torch.nn.functional.pad(value.float(), (0, more[0], 0, more[1]))
        blocks = padded.unflatten(1, (-1, FP8_BLOCK)).unflatten(0, (-1, FP8_BLOCK)).transpose(1, 2)
        scales = blocks.abs().amax(dim=(2, 3)) / 448
        codes = (blocks / scales[:, :, None, None]).transpose(1, 2).flatten(2).flatten(0, 1)
        tensors[name] = codes[:rows, :columns].contiguous().to(torch.float8_e4m3fn)
        tensors[name + "_scale_inv"] = scales
    save_file(tensors, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = dict(
        activation_scheme="dynamic", fmt="e4m3", quant_method="fp8", weight_block_size=[FP8_BLOCK, FP8_BLOCK]
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def read_fp8(folder: pathlib.Path):
    """The model of the values that the folder's codes stand for, in float32."""
    stored = load_file(folder / "model.safetensors")
    tensors = {}
    for name, value in stored.items():
        scales = stored.get(name + "_scale_inv")
        if scales is not None:
            wide = scales.repeat_interleave(FP8_BLOCK, 0).repeat_interleave(FP8_BLOCK, 1)
            value = value.float() * wide[: value.shape[0], : value.shape[1]]
        if not name.endswith("_scale_inv"):
            tensors[name] = value.float()
    with tempfile.TemporaryDirectory() as plain:
        config = json.loads((folder / "config.json").read_text())
        del config["quantization_config"]
        (pathlib.Path(plain) / "config.json").write_text(json.dumps(config))
        save_file(tensors, pathlib.Path(plain) / "model.safetensors", metadata={"format": "pt"})
        return AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32, attn_implementation="eager").eval()


def rename_as_state_spaces(folder: pathlib.Path, config) -> None:
    file = folder / "model.safetensors"
    tensors = {name.replace("embeddings.", "embedding."): value for name, value in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    layer = dict(layer="Mamba2", d_state=config.state_size, headdim=config.head_dim)
    said = dict(
        d_model=config.hidden_size,
        d_intermediate=0,
        n_layer=config.num_hidden_layers,
        vocab_size=config.vocab_size,
        ssm_cfg=layer,
        attn_layer_idx=[],
        attn_cfg={},
        rms_norm=True,
        residual_in_fp32=True,
        fused_add_norm=True,
        pad_vocab_size_multiple=16,
        tie_embeddings=True,
    )
    (folder / "config.json").write_text(json.dumps(said, indent=2) + "\n")


def half_cache(config) -> HalfCache:
    return HalfCache() if not hasattr(config, "layer_types") else HalfCache(config=config)


def make(name: str, kind: str, changes: dict, folder: pathlib.Path) -> None:
    torch.manual_seed(sum(name.encode()))
    if "text" in changes:
        sees = dict(text_config=COMMON | changes["text"], vision_config=changes["vision"], tie_word_embeddings=False)
        config = AutoConfig.for_model(kind, **sees)
    else:
        known = AutoConfig.for_model(kind).to_dict()
        common = {key: value for key, value in COMMON.items() if key in known}
        config = AutoConfig.for_model(kind, **(common | changes))
    config._attn_implementation = "eager"
    auto = AutoModelForImageTextToText if "text" in changes else AutoModelForCausalLM
    model = auto.from_config(config).eval()
    fill(model, kind)
    tokens = torch.randint(3, COMMON["vocab_size"], (TOKENS,)).tolist()
    rounded = lambda logits: [[round(float(x), 6) for x in row] for row in logits[[7, -1]]]
    if name.endswith("-fp8"):
        model.to(torch.bfloat16).save_pretrained(folder)
        to_fp8(folder)
        model = read_fp8(folder)
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), past_key_values=half_cache(config), use_cache=True).logits[0]
    answer = {"tokens": tokens, "logits": rounded(logits)}
    more = {}
    if name in LAYER_FOR_FURTHER_TOKENS:
        further = FurtherTokens(model, LAYER_FOR_FURTHER_TOKENS[name]).eval()
        fill(further, kind)
        with torch.no_grad():
            answer["next"] = rounded(further(model, tokens))
        more = further.tensors(model, kind)
    shard = "6KB" if name == "llama" else "5GB"
    if not name.endswith("-fp8"):
        model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard)
    if name.endswith("-state-spaces"):
        rename_as_state_spaces(folder, config)
    if more:
        file = folder / "model.safetensors"
        save_file(load_file(file) | more, file, metadata={"format": "pt"})
    (folder / "generation_config.json").unlink(missing_ok=True)
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
