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
from folder_models import COMMON, FP8_BLOCK, LAYER_FOR_FURTHER_TOKENS, MODELS, TOKENS
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, DynamicCache


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
