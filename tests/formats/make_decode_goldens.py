#!/usr/bin/env python3
"""Writes decode_golden.inc: one block of each format and what the gguf package decodes it to.

The codes are pseudo-random bytes; the f16 scales are 1, so that every value is an integer.
"""
import pathlib
import textwrap

import gguf
import numpy as np

ONE = b"\x00\x3c"  # 1.0 as f16
SCALE_AT = {  # where the f16 scales (and minimums) lie
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}


def block_of(name):
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    block = bytearray(np.random.default_rng(len(name) + size).integers(0, 256, size, np.uint8).tobytes())
    for at in SCALE_AT[name]:
        block[at:at + 2] = ONE
    if name == "MXFP4":
        block[0] = 128  # 2^0 in halves
    return bytes(block)


def main():
    out = ["// Written by make_decode_goldens.py: {format, bytes of one block in hexadecimal, its values}.", ""]
    for name in SCALE_AT:
        block = block_of(name)
        values = gguf.quants.dequantize(np.frombuffer(block, np.uint8), gguf.GGMLQuantizationType[name])
        assert np.array_equal(values, values.astype(int))
        hexadecimal = "\n".join(f'     "{line}"' for line in textwrap.wrap(block.hex(), 80))
        numbers = textwrap.indent(textwrap.fill(", ".join(str(int(v)) for v in values), 92), " " * 6)
        out.append(f'    {{"{name}",\n{hexadecimal},\n     {{\n{numbers}}}}},')
    pathlib.Path(__file__).with_name("decode_golden.inc").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
