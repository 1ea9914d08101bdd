#!/usr/bin/env python3
"""Writes tests/data/gguf: tensors that GGUF keeps as more than blocks, packed by the official converters.

    git clone https://github.com/microsoft/BitNet /tmp/bitnet
    git clone https://github.com/ggml-org/llama.cpp /tmp/llama.cpp
    python3 -m venv /tmp/gguf && /tmp/gguf/bin/pip install torch transformers safetensors numpy sentencepiece
    /tmp/gguf/bin/python tests/tools/make_gguf_goldens.py /tmp/bitnet /tmp/llama.cpp

Each file holds "bytes", as they lie in a GGUF file, and the "values" that they stand for; NVFP4 also
"scale", the tensor beside it.
"""
import importlib.util
import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "gguf"


def i2_s(bitnet):
    """quantize_to_i2_s of BitNet's converter; values as its documentation says, code * scale."""
    path = pathlib.Path(bitnet) / "utils" / "convert-bitnet-embedding-to-gguf.py"
    spec = importlib.util.spec_from_file_location("converter", path)
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    weights = np.random.default_rng(3).normal(size=(4, 256)).astype(np.float32) * 0.02
    scale = np.float32(np.abs(weights).mean())
    values = np.clip(np.round(weights * (1.0 / scale)), -1, 1).astype(np.float32) * scale
    save_file({"bytes": np.array(converter.quantize_to_i2_s(weights)), "values": values}, OUT / "i2_s.safetensors")


def nvfp4(llama_cpp):
    """_nvfp4_pack of llama.cpp's converter; values by its gguf-py, times the factor in f32."""
    sys.path[:0] = [llama_cpp, str(pathlib.Path(llama_cpp) / "gguf-py")]
    from conversion.base import ModelBase
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    random = np.random.default_rng(5)
    codes = torch.from_numpy(random.integers(0, 256, (4, 64), dtype=np.uint8))  # two a byte
    scales = torch.from_numpy(random.uniform(0.1, 400, (4, 8)).astype(np.float32)).to(torch.float8_e4m3fn)
    blocks, shape = ModelBase._nvfp4_pack(codes, scales)
    factor = np.array([0.0123], dtype=np.float32)
    unscaled = dequantize(blocks, GGMLQuantizationType.NVFP4).reshape(shape)
    # One rounding, of a group's scale, not two.
    groups = scales.float().numpy()[:, :, None] * factor
    with np.errstate(invalid="ignore"):
        levels = unscaled.reshape(4, 8, 16) / scales.float().numpy()[:, :, None]
    values = (levels * groups).astype(np.float32).reshape(shape)
    save_file({"bytes": blocks, "scale": factor, "values": values}, OUT / "nvfp4.safetensors")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    i2_s(sys.argv[1])
    nvfp4(sys.argv[2])
