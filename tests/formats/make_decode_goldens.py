#!/usr/bin/env python3
"""Writes decode_golden.inc: one block of each format and what the gguf package decodes it to.

The codes are pseudo-random bytes; the scales are such that every value is an integer. Q1_0 and Q2_0,
which the package does not decode, are decoded here as ggml-quants.c does.
"""
import pathlib
import textwrap

import gguf
import numpy as np

ONE, FOUR, EIGHT = b"\x00\x3c", b"\x00\x44", b"\x00\x48"  # as f16
SCALE_AT = {  # where the f16 scales (and minimums) lie
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "TQ1_0": [52],
    "TQ2_0": [64], "Q1_0": [0], "Q2_0": [0], "NVFP4": [], "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0],
    "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
}
SCALES = {"IQ1_S": EIGHT, "IQ2_XXS": EIGHT, "IQ2_XS": EIGHT, "IQ2_S": EIGHT, "IQ3_XXS": FOUR}  # they count in fractions
SIZES = {"Q1_0": 18, "Q2_0": 18}


def block_of(name):
    size = SIZES.get(name) or gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]][1]
    block = bytearray(np.random.default_rng(len(name) + size).integers(0, 256, size, np.uint8).tobytes())
    for at in SCALE_AT[name]:
        block[at:at + 2] = SCALES.get(name, ONE)
    if name == "MXFP4":
        block[0] = 128  # 2^0 in halves
    if name == "NVFP4":  # exponents that make halves of halves whole; one that counts as zero
        block[:4] = bytes(byte & 7 | exponent << 3 for byte, exponent in zip(block, [13, 11, 14, 12]))
        block[3] = 0x7f
    if name == "IQ1_M":  # the scale is spread over the upper bits of four words
        for word in range(4):
            nibble = int.from_bytes(EIGHT, "little") >> (4 * word) & 15
            block[49 + 2 * word] = block[49 + 2 * word] & 15 | nibble << 4
    return bytes(block)


def dequantize(name, block):
    codes = np.frombuffer(block[2:], np.uint8)
    if name == "Q1_0":
        return np.unpackbits(codes, bitorder="little").astype(int) * 2 - 1
    if name == "Q2_0":
        return (codes.reshape(-1, 1) >> np.array([0, 2, 4, 6]) & 3).flatten() - 1
    return gguf.quants.dequantize(np.frombuffer(block, np.uint8), gguf.GGMLQuantizationType[name])


def main():
    out = ["// Written by make_decode_goldens.py: {format, bytes of one block in hexadecimal, its values}.", ""]
    for name in SCALE_AT:
        block = block_of(name)
        values = dequantize(name, block)
        assert np.array_equal(values, values.astype(int)), name
        hexadecimal = "\n".join(f'     "{line}"' for line in textwrap.wrap(block.hex(), 80))
        numbers = textwrap.indent(textwrap.fill(", ".join(str(int(v)) for v in values), 92), " " * 6)
        out.append(f'    {{"{name}",\n{hexadecimal},\n     {{\n{numbers}}}}},')
    pathlib.Path(__file__).with_name("decode_golden.inc").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
