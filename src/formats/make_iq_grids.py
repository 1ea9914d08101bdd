#!/usr/bin/env python3
"""Writes iq_grids.inc: the grids of the IQ1, IQ2 and IQ3 formats, from the gguf package.

Two or four bits an element, the first in the lowest bits: as that package packs them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gguf
    /tmp/venv/bin/python src/formats/make_iq_grids.py
"""
import pathlib
import textwrap

from gguf import quants

GRIDS = {"IQ1": "IQ1_S", "IQ2_XXS": "IQ2_XXS", "IQ2_XS": "IQ2_XS", "IQ2_S": "IQ2_S", "IQ3_XXS": "IQ3_XXS",
         "IQ3_S": "IQ3_S"}


def main():
    out = ["// Written by make_iq_grids.py from gguf-py/gguf/quants.py, which packs the grids of ggml-common.h."]
    for name, source in GRIDS.items():
        data = bytes.fromhex(getattr(quants, source).grid_hex.decode())
        points = [int.from_bytes(data[i:i + 2], "little") for i in range(0, len(data), 2)]
        assert len(points) == getattr(quants, source).grid_shape[0]
        numbers = textwrap.fill(", ".join(f"0x{point:04x}" for point in points), 96,
                                initial_indent="    ", subsequent_indent="    ")
        out.append(f"\nconst uint16_t kGrid{name}[{len(points)}] = {{\n{numbers}}};")
    pathlib.Path(__file__).with_name("iq_grids.inc").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
