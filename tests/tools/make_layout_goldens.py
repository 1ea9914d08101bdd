#!/usr/bin/env python3
"""Writes tests/data/layouts: tiny quantized matrices as the official packages write them, and the values
that these packages read out of them.

    python3 -m venv /tmp/layouts
    /tmp/layouts/bin/pip install torch transformers bitsandbytes torchao hqq gptqmodel autoawq compressed-tensors frozendict
    /tmp/layouts/bin/pip install --no-deps --target /tmp/layouts/old compressed-tensors==0.11.0
    /tmp/layouts/bin/pip install nvidia-modelopt
    /tmp/layouts/bin/python tests/tools/make_layout_goldens.py --old /tmp/layouts/old [NAME...]

compressed-tensors is there twice, as what it packs changed: 0.11 has gaps in its words, and sparsity.
For each case NAME it writes

    NAME.safetensors         the tensors of one module, "m", and whatever the header says of it
    NAME.json                what config.json says of the layout
    NAME.values.safetensors  "m.weight", or its name without the suffix of the layout's parts: values, in
                             the type in which the package computes them
    NAME.source.safetensors  of some, "m.weight" before it was quantized: what we write is compared, too

No case needs a GPU. Who writes what is said at each; what no package writes without one is packed by the
rules of its reader, which is official in every case but Int4Tensor of torchao and AWQ's GEMV.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "data" / "layouts"
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def weights(rows, columns, seed=7, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed + rows * 1000 + columns)
    w = torch.randn(rows, columns, generator=generator) * 0.02
    w[:, 3] *= 5  # a column that stands out
    return w.to(dtype)


def linear(w):
    module = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
    module.weight = torch.nn.Parameter(w.clone(), requires_grad=False)
    return module


def named(tensors, prefix="m."):
    return {prefix + name: tensor.detach().clone().contiguous() for name, tensor in tensors.items() if tensor is not None}


SOURCES = {"bnb_nf4", "bnb_nf4_double", "bnb_fp4", "ct_nvfp4"}


def write(name, tensors, config, values, metadata=None, source=None):
    OUT.mkdir(parents=True, exist_ok=True)
    if name in SOURCES:
        save_file({"m.weight": source.detach().clone().contiguous()}, OUT / f"{name}.source.safetensors")
    save_file(tensors, OUT / f"{name}.safetensors", metadata=metadata or {"format": "pt"})
    (OUT / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")
    if not isinstance(values, dict):
        values = {"m.weight": values}
    save_file({k: v.detach().clone().contiguous() for k, v in values.items()}, OUT / f"{name}.values.safetensors")


def grid(w, bits, group, symmetric):
    """Scales (f16) and zeros [rows, groups] for unsigned codes."""
    rows, columns = w.shape
    parts = torch.nn.functional.pad(w, (0, -columns % group)).reshape(rows, -1, group)
    top = 2**bits - 1
    if symmetric:
        scale = parts.abs().amax(-1) * 2 / top
        zero = torch.full_like(scale, 2 ** (bits - 1))
    else:
        low, high = parts.amin(-1).clamp(max=0), parts.amax(-1).clamp(min=0)
        scale = (high - low) / top
        zero = torch.round(-low / scale).clamp(1, top)  # v1 stores zero - 1
    return scale.half().float(), zero


# --- GPTQ: packed and read by GPTQModel's torch kernel.


def gptq(name, bits, rows=32, columns=64, group=32, symmetric=True, order=None, version="gptq", extra=None):
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module

    w = weights(rows, columns)
    size = columns if group == -1 else group
    groups = -(-columns // size)
    g_idx = torch.arange(columns, dtype=torch.int32) // size
    if order == "shuffled":
        g_idx = g_idx[torch.randperm(columns, generator=torch.Generator().manual_seed(3))]
    elif order == "uneven":
        g_idx = torch.randint(0, groups, (columns,), generator=torch.Generator().manual_seed(3), dtype=torch.int32)
    sorted_columns = torch.argsort(g_idx, stable=True)
    scale, zero = grid(w[:, sorted_columns], bits, size, symmetric)
    module = TorchLinear(bits=bits, group_size=group, sym=symmetric, desc_act=order is not None, in_features=columns,
                         out_features=rows, bias=False, pack_dtype=torch.int32)
    module.pack_original(linear(w), scale, zero, g_idx)
    module.post_init()
    values = module.dequantize_weight().T  # [in, out]
    if version == "gptq":
        config = argparse.Namespace(bits=bits, pack_dtype=torch.int32)
        convert_gptq_v2_to_v1_format_module(module, config)
    parts = {part: getattr(module, part) for part in ("qweight", "qzeros", "scales", "g_idx")}
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric,
              "desc_act": order is not None, "checkpoint_format": version, "lm_head": False, **(extra or {})}
    write(name, named(parts), {"quantization_config": config}, values.half())


for bits in (2, 3, 4, 8):
    CASES[f"gptq_{bits}bit"] = lambda bits=bits: gptq(f"gptq_{bits}bit", bits)
    CASES[f"gptq_v2_{bits}bit"] = lambda bits=bits: gptq(f"gptq_v2_{bits}bit", bits, symmetric=False, version="gptq_v2")
CASES["gptq_asymmetric"] = lambda: gptq("gptq_asymmetric", 4, symmetric=False)
CASES["gptq_row"] = lambda: gptq("gptq_row", 4, columns=128, group=-1)
CASES["gptq_order"] = lambda: gptq("gptq_order", 4, order="shuffled", symmetric=False)
CASES["gptq_order_3bit"] = lambda: gptq("gptq_order_3bit", 3, order="shuffled")
CASES["gptq_uneven"] = lambda: gptq("gptq_uneven", 4, order="uneven", symmetric=False)
CASES["gptq_narrow"] = lambda: gptq("gptq_narrow", 4, columns=40, group=-1)  # no group fits
CASES["gptq_dynamic"] = lambda: gptq("gptq_dynamic", 8, extra={
    "bits": 4, "group_size": 128,
    "dynamic": {"-:.*\\.gate.*": {}, "+:^other$": {"bits": 2}, "m$": {"bits": 8, "group_size": 32}}})


# --- AWQ: packed by AutoAWQ. GEMM is read by its own dequantize_gemm. For GEMV it has none but a kernel
# for GPUs; there the values are the weights, which lie on the grid before they are packed.


def awq(name, version, columns, group):
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.modules.linear.gemv import WQLinear_GEMV
    from awq.utils.packing_utils import dequantize_gemm

    w = weights(32 if version == "gemm" else 8, columns)
    scale, zero = grid(w, 4, group, False)
    q = torch.round(w / scale.repeat_interleave(group, 1)) + zero.repeat_interleave(group, 1)
    w = ((q.clamp(0, 15) - zero.repeat_interleave(group, 1)) * scale.repeat_interleave(group, 1)).half()
    if version == "gemm":
        packed = WQLinear_GEMM.from_linear(linear(w), 4, group, False, scale.T.half().contiguous(), zero.T.half().contiguous())
        values = dequantize_gemm(packed.qweight, packed.qzeros, packed.scales, 4, group).T
    else:
        packed = WQLinear_GEMV.from_linear(linear(w), 4, group, False, scale.half(), zero.half())
        values = w
    parts = {part: getattr(packed, part) for part in ("qweight", "qzeros", "scales")}
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "version": version, "zero_point": True,
              "modules_to_not_convert": None}
    write(name, named(parts), {"quantization_config": config}, values.half())


CASES["awq_gemm"] = lambda: awq("awq_gemm", "gemm", 128, 64)
CASES["awq_gemv"] = lambda: awq("awq_gemv", "gemv", 256, 128)
CASES["awq_gemv_32"] = lambda: awq("awq_gemv_32", "gemv", 128, 32)


# --- bitsandbytes: its own modules, their state and its own functions.


def bnb4(name, kind, nested, rows=8, columns=128, block=64, storage=torch.uint8):
    import bitsandbytes as bnb

    w = weights(rows, columns)
    module = bnb.nn.Linear4bit(columns, rows, bias=False, compute_dtype=torch.float32, compress_statistics=nested,
                               quant_type=kind, quant_storage=storage)
    data, state = bnb.functional.quantize_4bit(w, blocksize=block, compress_statistics=nested, quant_type=kind,
                                               quant_storage=storage)
    module.weight = bnb.nn.Params4bit(data, requires_grad=False, quant_state=state, quant_type=kind, blocksize=block,
                                      compress_statistics=nested, quant_storage=storage, bnb_quantized=True)
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind,
              "bnb_4bit_use_double_quant": nested, "bnb_4bit_compute_dtype": "float32"}
    values = bnb.functional.dequantize_4bit(data, state)
    if columns % block:  # 0.50's kernel for CPUs begins a block at each row; its generic code, and CUDA's, do not
        from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
        values = _dequantize_4bit_compute(data.reshape(-1), state.absmax, state.code, block, w.shape, torch.float32)
    write(name, named(module.state_dict()), {"quantization_config": config}, values, source=w)


CASES["bnb_nf4"] = lambda: bnb4("bnb_nf4", "nf4", False)
CASES["bnb_nf4_double"] = lambda: bnb4("bnb_nf4_double", "nf4", True)
CASES["bnb_fp4"] = lambda: bnb4("bnb_fp4", "fp4", False)
CASES["bnb_fp4_double"] = lambda: bnb4("bnb_fp4_double", "fp4", True, storage=torch.bfloat16)
CASES["bnb_nf4_across"] = lambda: bnb4("bnb_nf4_across", "nf4", False, columns=96)  # blocks span rows
CASES["bnb_nf4_odd"] = lambda: bnb4("bnb_nf4_odd", "nf4", False, columns=40)  # and no group fits


@case
def bnb_int8():
    import bitsandbytes as bnb

    w = weights(16, 96)
    module = bnb.nn.Linear8bitLt(96, 16, bias=False, has_fp16_weights=False)
    codes, stats, _ = bnb.functional.int8_vectorwise_quant(w.half())
    module.weight = bnb.nn.Int8Params(codes, requires_grad=False, has_fp16_weights=False, CB=codes, SCB=stats)
    config = {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_threshold": 6.0}
    write("bnb_int8", named(module.state_dict()), {"quantization_config": config},
          bnb.functional.int8_vectorwise_dequant(codes, stats))


# --- HQQ: its own module, which transformers wraps.


def hqq(name, bits, axis, rows=8, columns=128, group=64, dtype=torch.float16):
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    module = HQQLinear(linear(weights(rows, columns)), BaseQuantizeConfig(nbits=bits, group_size=group, axis=axis),
                       compute_dtype=dtype, device="cpu")
    config = {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": bits, "group_size": group, "axis": axis}},
              "skip_modules": ["lm_head"]}
    write(name, named(module.state_dict()), {"quantization_config": config}, module.dequantize())


for bits in (1, 2, 3, 4, 5, 6, 8):
    CASES[f"hqq_{bits}bit"] = lambda bits=bits: hqq(f"hqq_{bits}bit", bits, 1)
CASES["hqq_4bit_axis0"] = lambda: hqq("hqq_4bit_axis0", 4, 0)
CASES["hqq_3bit_axis0"] = lambda: hqq("hqq_3bit_axis0", 3, 0, rows=16, columns=64)
CASES["hqq_4bit_row"] = lambda: hqq("hqq_4bit_row", 4, 1, group=None, dtype=torch.bfloat16)
CASES["hqq_4bit_f32"] = lambda: hqq("hqq_4bit_f32", 4, 1, dtype=torch.float32)


# --- compressed-tensors: its compressors, on tensors with scales that minimums and maximums give.


def scheme_of(arguments, layout):
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments), format=layout)


def ct_config(arguments, layout, **more):
    group = {"targets": ["Linear"], "weights": arguments, "input_activations": None, "output_activations": None}
    return {"quantization_config": {"quant_method": "compressed-tensors", "format": layout, "ignore": ["lm_head"],
                                    "config_groups": {"group_0": group}, "quantization_status": "compressed", **more}}


def ct(name, layout, arguments, w, **state):
    from compressed_tensors.compressors import BaseCompressor

    scheme = scheme_of(arguments, layout)
    compressor = BaseCompressor.get_value_from_registry(layout)
    packed = compressor.compress({"weight": w, **state}, scheme)
    values = compressor.decompress(packed, scheme)["weight"]
    write(name, named(packed), ct_config(arguments, layout), values, source=w)


def ct_grid(w, bits, group, symmetric, dtype):
    rows, columns = w.shape
    parts = w.float().reshape(rows, -1, group or columns)
    if symmetric:
        scale = parts.abs().amax(-1) / (2 ** (bits - 1) - 0.5)
        return scale.to(dtype), torch.zeros_like(scale, dtype=torch.int8)
    low, high = parts.amin(-1).clamp(max=0), parts.amax(-1).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).to(dtype)
    zero = torch.round(-low / scale.float()) - 2 ** (bits - 1)
    return scale, zero.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)


def ct_pack(name, bits, group=32, symmetric=True, dtype=torch.float16, rows=16, columns=96, **more):
    w = weights(rows, columns, dtype=dtype)
    scale, zero = ct_grid(w, bits, group, symmetric, dtype)
    arguments = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group" if group else "channel",
                 "group_size": group, **more}
    ct(name, "pack-quantized", arguments, w, weight_scale=scale, weight_zero_point=zero)


for bits in (2, 3, 4, 5, 8):
    CASES[f"ct_pack_{bits}bit"] = lambda bits=bits: ct_pack(f"ct_pack_{bits}bit", bits)
CASES["ct_pack_asymmetric"] = lambda: ct_pack("ct_pack_asymmetric", 4, symmetric=False, dtype=torch.bfloat16)
CASES["ct_pack_3bit_asymmetric"] = lambda: ct_pack("ct_pack_3bit_asymmetric", 3, symmetric=False)
CASES["ct_pack_channel"] = lambda: ct_pack("ct_pack_channel", 4, group=None)


def ct_int(name, symmetric, strategy):
    w = weights(16, 96, dtype=torch.bfloat16)
    if strategy == "tensor":
        scale, zero = ct_grid(w.reshape(1, -1), 8, None, symmetric, torch.bfloat16)
        scale, zero = scale.reshape(1), zero.reshape(1)
    else:
        scale, zero = ct_grid(w, 8, None, symmetric, torch.bfloat16)
    arguments = {"num_bits": 8, "type": "int", "symmetric": symmetric, "strategy": strategy}
    ct(name, "int-quantized", arguments, w, weight_scale=scale, weight_zero_point=zero)


CASES["ct_int8"] = lambda: ct_int("ct_int8", True, "channel")
CASES["ct_int8_asymmetric"] = lambda: ct_int("ct_int8_asymmetric", False, "channel")
CASES["ct_int8_tensor"] = lambda: ct_int("ct_int8_tensor", False, "tensor")


def ct_float(name, strategy, layout="float-quantized", **more):
    w = weights(16, 96, dtype=torch.bfloat16)
    largest = {"tensor": lambda: w.abs().amax().reshape(1), "channel": lambda: w.abs().amax(1, keepdim=True),
               "block": lambda: w.abs().reshape(w.shape[0] // 8, 8, w.shape[1] // 32, 32).amax((1, 3))}[strategy]()
    arguments = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": strategy, **more}
    ct(name, layout, arguments, w, weight_scale=(largest.float() / 448).to(torch.bfloat16))


CASES["ct_float8_tensor"] = lambda: ct_float("ct_float8_tensor", "tensor")
CASES["ct_float8_channel"] = lambda: ct_float("ct_float8_channel", "channel")
CASES["ct_float8_naive"] = lambda: ct_float("ct_float8_naive", "channel", "naive-quantized")
CASES["ct_float8_block"] = lambda: ct_float("ct_float8_block", "block", block_structure=[8, 32])


@case
def ct_nvfp4():
    w = weights(16, 64, dtype=torch.bfloat16)
    largest = w.float().abs().amax()
    scale = w.float().abs().reshape(len(w), -1, 16).amax(-1) / 6
    whole = 448 * 6 / largest
    arguments = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
    ct("ct_nvfp4", "nvfp4-pack-quantized", arguments, w, weight_scale=scale * whole,
       weight_global_scale=whole.reshape(1))


@case
def ct_mxfp4():
    w = weights(16, 64, dtype=torch.bfloat16)
    scale = 2.0 ** torch.ceil(torch.log2(w.float().abs().reshape(len(w), -1, 32).amax(-1) / 6))
    arguments = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "group", "group_size": 32}
    ct("ct_mxfp4", "mxfp4-pack-quantized", arguments, w, weight_scale=scale.to(torch.bfloat16))


@case
def ct_mixed():  # a format, and bits, for each group of modules
    from compressed_tensors.compressors import BaseCompressor

    tensors, values, groups = {}, {}, {}
    for module, bits, target in (("model.a", 4, "Linear"), ("model.b", 8, "re:.*\\.b$"), ("model.c", 2, "model.c")):
        w = weights(16, 64, seed=bits, dtype=torch.float16)
        scale, zero = ct_grid(w, bits, 32, True, torch.float16)
        arguments = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
        scheme = scheme_of(arguments, "pack-quantized")
        compressor = BaseCompressor.get_value_from_registry("pack-quantized")
        packed = compressor.compress({"weight": w, "weight_scale": scale, "weight_zero_point": zero}, scheme)
        tensors |= named(packed, module + ".")
        values[module + ".weight"] = compressor.decompress(packed, scheme)["weight"]
        groups[f"group_{bits}"] = {"targets": [target], "weights": arguments, "format": "pack-quantized"}
    config = {"quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": groups, "ignore": []}
    write("ct_mixed", tensors, {"quantization_config": config}, values)


# compressed-tensors 0.11, run by itself with --old (its name is the same as that of the new one).


def old_ct_pack(name, bits, symmetric=True):
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import pack_to_int32, unpack_from_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize

    w = weights(16, 96, dtype=torch.float16)
    scale, zero = ct_grid(w, bits, 32, symmetric, torch.float16)
    arguments = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": 32}
    args = QuantizationArgs(**arguments)
    q = quantize(w, scale, zero, args, dtype=torch.int8)
    packed = {"weight_packed": pack_to_int32(q, bits), "weight_shape": torch.tensor(w.shape), "weight_scale": scale}
    if not symmetric:
        packed["weight_zero_point"] = pack_to_int32(zero, bits, packed_dim=0)
    q = unpack_from_int32(packed["weight_packed"], bits, w.shape)
    write(name, named(packed), ct_config(arguments, "pack-quantized"), dequantize(q, scale, zero, args=args))


def old_ct_g_idx():  # actorder = group: groups of columns that are no neighbours
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import pack_to_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize

    w = weights(16, 96, dtype=torch.float16)
    g_idx = (torch.arange(96, dtype=torch.int32) // 32)[torch.randperm(96, generator=torch.Generator().manual_seed(5))]
    scale, zero = ct_grid(w[:, torch.argsort(g_idx, stable=True)], 4, 32, False, torch.float16)
    arguments = {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32, "actorder": "group"}
    args = QuantizationArgs(**arguments)
    q = quantize(w, scale, zero, args, dtype=torch.int8, g_idx=g_idx)
    packed = {"weight_packed": pack_to_int32(q, 4), "weight_shape": torch.tensor(w.shape), "weight_scale": scale,
              "weight_zero_point": pack_to_int32(zero, 4, packed_dim=0), "weight_g_idx": g_idx}
    write("ct_old_g_idx", named(packed), ct_config(arguments, "pack-quantized"), dequantize(q, scale, zero, args=args, g_idx=g_idx))


def old_ct_sparse(name, kind, fp8):
    from compressed_tensors.compressors.sparse_compressors.sparse_24_bitmask import Sparse24BitMaskTensor, get_24_bytemasks
    from compressed_tensors.compressors.sparse_compressors.sparse_bitmask import BitmaskTensor

    w = weights(16, 64, dtype=torch.bfloat16)
    w = torch.where(get_24_bytemasks(w), w, 0) if kind == "sparse-24-bitmask" else torch.where(w.abs() > 0.01, w, 0)
    state, values, arguments = {}, w, None
    if fp8:
        scale = (w.float().abs().amax(1, keepdim=True) / 448).to(torch.bfloat16)
        w = (w.float() / scale.float()).to(torch.float8_e4m3fn)
        values = w.to(torch.bfloat16) * scale
        state = {"weight_scale": scale}
        arguments = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    tensor = (Sparse24BitMaskTensor if kind == "sparse-24-bitmask" else BitmaskTensor).from_dense(w)
    assert torch.equal(tensor.decompress().float(), w.float())
    config = ct_config(arguments, "float-quantized" if fp8 else "dense", sparsity_config={"format": kind})
    if not fp8:
        del config["quantization_config"]["config_groups"]
    write(name, {**tensor.dict("m"), **named(state)}, config, values)


OLD = {
    "ct_old_g_idx": old_ct_g_idx,
    "ct_old_3bit": lambda: old_ct_pack("ct_old_3bit", 3),
    "ct_old_5bit_asymmetric": lambda: old_ct_pack("ct_old_5bit_asymmetric", 5, False),
    "ct_sparse24": lambda: old_ct_sparse("ct_sparse24", "sparse-24-bitmask", False),
    "ct_sparse24_float8": lambda: old_ct_sparse("ct_sparse24_float8", "sparse-24-bitmask", True),
    "ct_bitmask": lambda: old_ct_sparse("ct_bitmask", "sparse-bitmask", False),
}


# --- FP8: blocks and whole tensors by transformers' own conversion; rows as FBGEMM has them, packed with
# torch alone, as its kernel needs a GPU.


def fp8(name, block):
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize, Fp8Quantize

    class Config:
        weight_block_size = block
        scale_fmt = "float"

    class Quantizer:
        quantization_config = Config()

    # Rows and columns beyond a whole number of blocks, as DeepSeek has them: quantized padded, then cut.
    w = weights(*((24, 80) if block else (16, 64)), dtype=torch.bfloat16)
    rows, columns = w.shape
    pad = (0, -columns % block[1], 0, -rows % block[0]) if block else (0, 0)
    packed = Fp8Quantize(Quantizer())._quantize_one("m.weight", torch.nn.functional.pad(w, pad))
    values = Fp8Dequantize(Quantizer())._dequantize_one(packed["m.weight"], packed["m.weight_scale_inv"])
    packed["m.weight"] = packed["m.weight"][:rows, :columns].contiguous()
    config = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": block}
    write(name, packed, {"quantization_config": config}, values[:rows, :columns])


CASES["fp8_blocks"] = lambda: fp8("fp8_blocks", [16, 32])
CASES["fp8_tensor"] = lambda: fp8("fp8_tensor", None)


@case
def fp8_rows():
    w = weights(16, 64, dtype=torch.bfloat16)
    scale = w.float().abs().amax(1, keepdim=True) / 448
    codes = (w.float() / scale).to(torch.float8_e4m3fn)
    config = {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0, "modules_to_not_convert": ["lm_head"]}
    write("fp8_rows", {"m.weight": codes, "m.weight_scale": scale, "m.input_scale_ub": torch.tensor([1200.0])},
          {"quantization_config": config}, codes.float() * scale)


# --- gpt-oss: its codes and exponents at random, read by transformers.


@case
def mxfp4():
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    generator = torch.Generator().manual_seed(11)
    blocks = torch.randint(0, 256, (2, 6, 3, 16), generator=generator, dtype=torch.uint8)
    scales = torch.randint(118, 127, (2, 6, 3), generator=generator, dtype=torch.uint8)
    values = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)  # [E, K, rows]
    write("mxfp4", {"m.gate_up_proj_blocks": blocks, "m.gate_up_proj_scales": scales},
          {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": []}},
          {"m.gate_up_proj.weight": values.transpose(1, 2)})


# --- ModelOpt's NVFP4.


@case
def modelopt_nvfp4():
    from modelopt.torch.quantization.qtensor.nvfp4_tensor import NVFP4QTensor

    w = weights(16, 64, dtype=torch.bfloat16)
    quantized, scale, scale_2 = NVFP4QTensor.quantize(w, 16, try_tensorrt=False)
    values = quantized.dequantize(scale=scale, double_scale=scale_2, block_sizes={-1: 16}, dtype=torch.float32)
    packed = {"m.weight": quantized._quantized_data, "m.weight_scale": scale.reshape(len(w), -1),
              "m.weight_scale_2": scale_2.float().reshape(()), "m.input_scale": torch.tensor(0.5)}
    config = {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": None, "ignore": ["lm_head"]}
    write("modelopt_nvfp4", packed, {"quantization_config": config}, values.reshape(w.shape))


# --- torchao: quantized and taken apart for safetensors by itself. Only Int4Tensor's own packing is MSLK's,
# which needs a GPU; the fields are filled as it fills them.


def torchao_case(name, tensor, values):
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict

    tensors, metadata = flatten_tensor_state_dict({"m.weight": tensor})
    write(name, tensors, {"quantization_config": {"quant_method": "torchao", "quant_type": {"default": {"_type": type(tensor).__name__}}}},
          values, metadata)


@case
def torchao_int8():
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    module = torch.nn.Sequential(linear(weights(16, 64, dtype=torch.bfloat16)))
    quantize_(module, Int8WeightOnlyConfig(version=2))
    torchao_case("torchao_int8", module[0].weight.data, module[0].weight.dequantize())


@case
def torchao_intx4():
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup
    from torchao.quantization.quant_primitives import MappingType

    module = torch.nn.Sequential(linear(weights(16, 64, dtype=torch.bfloat16)))
    quantize_(module, IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32),
                                           mapping_type=MappingType.ASYMMETRIC))
    torchao_case("torchao_intx4", module[0].weight.data, module[0].weight.dequantize())


@case
def torchao_int4():
    from torchao.quantization import Int4Tensor

    rows, columns = (w := weights(16, 64)).shape
    w = w.reshape(-1, 32)
    low, high = w.amin(1, keepdim=True), w.amax(1, keepdim=True)
    scale = (high - low) / 15
    zero = low + scale * 8
    q = ((w - low) / scale).round().clamp(0, 15).sub(8).to(torch.int8).reshape(rows, columns)
    packed = (q[:, ::2] & 15) | (q[:, 1::2] << 4)
    scale, zero = (t.reshape(rows, -1).T.contiguous().bfloat16() for t in (scale, zero))
    tensor = Int4Tensor(packed, scale, zero, [1, 32], torch.Size([rows, columns]))
    values = q.float() * scale.float().T.repeat_interleave(32, 1) + zero.float().T.repeat_interleave(32, 1)
    torchao_case("torchao_int4", tensor, values)


# --- BitNet: packed and unpacked by transformers; what its two classes make of the scale is their forward().


def bitnet(name, linear_class):
    from transformers.integrations.bitnet import pack_weights, unpack_weights

    w = weights(16, 64)
    ternary = (w / w.abs().mean()).round().clamp(-1, 1)
    scale = (1 / w.abs().mean() if linear_class == "bitlinear" else w.abs().mean()).to(torch.bfloat16).reshape(1)
    packed = pack_weights(ternary.clone())
    unpacked = unpack_weights(packed, dtype=torch.float32)
    values = unpacked / scale.float() if linear_class == "bitlinear" else unpacked * scale.float()
    config = {"quant_method": "bitnet", "linear_class": linear_class, "quantization_mode": "offline"}
    write(name, {"m.weight": packed, "m.weight_scale": scale}, {"quantization_config": config}, values)


CASES["bitnet_divides"] = lambda: bitnet("bitnet_divides", "bitlinear")
CASES["bitnet_multiplies"] = lambda: bitnet("bitnet_multiplies", "autobitlinear")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", help="folder of compressed-tensors 0.11")
    parser.add_argument("--only-old", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="cases; default: all")
    options = parser.parse_args()
    if options.only_old:
        sys.path.insert(0, options.old)
    for name, make in (OLD if options.only_old else CASES).items():
        if not options.names or name in options.names:
            torch.manual_seed(1)
            try:
                make()
                print(name)
            except Exception as error:  # the others are made all the same
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    if options.old and not options.only_old:
        subprocess.run([sys.executable, __file__, "--old", options.old, "--only-old", *options.names], check=True)


if __name__ == "__main__":
    main()
