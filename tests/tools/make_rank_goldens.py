#!/usr/bin/env python3
"""Writes tests/data/ranks/: a small tiktoken.model in a folder like Kimi K2's, and what the "tiktoken"
package makes of texts with it.

    python3 -m venv v && v/bin/pip install tiktoken tokenizers
    v/bin/python tests/tools/make_rank_goldens.py

The entries are those of tests/data/tokenizers/models/bytes.json, whose merges cross the places where texts
are cut. ids.txt has a line for each text of hard_text.jsonl and then of tokenizers/random_text.jsonl: a hash
of its ids, as in make_tokenizer_goldens.py. Used by tests/text/rank_file_test.cc.
"""
import base64
import json

import tiktoken
from make_tokenizer_goldens import DATA, fnv, hard_texts, write_lines

# As the code beside Kimi K2's file has it.
EXPRESSION = "|".join([
    r"[\p{Han}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+",
])


def alphabet():
    """GPT-2's letters to bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{chr(byte): byte for byte in printable}, **{chr(0x100 + i): byte for i, byte in enumerate(others)}}


def main():
    model = json.loads((DATA / "tokenizers" / "models" / "bytes.json").read_text(encoding="utf-8"))
    letters = alphabet()
    entries = [bytes(letters[letter] for letter in text) for text, _ in sorted(model["vocab"].items(), key=lambda entry: entry[1])
               if all(letter in letters for letter in text)]
    # Every byte, as real files have: the first are those.
    entries = [bytes([byte]) for byte in range(256)] + [entry for entry in entries if len(entry) > 1]
    ranks = {entry: rank for rank, entry in enumerate(dict.fromkeys(entries))}
    out = DATA / "ranks"
    out.mkdir(exist_ok=True)
    write_lines(out / "tiktoken.model", [f"{base64.b64encode(entry).decode()} {rank}" for entry, rank in ranks.items()])
    names = {"[BOS]": len(ranks), "[EOS]": len(ranks) + 1, "<|im_end|>": len(ranks) + 2}
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]",
              "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
              "added_tokens_decoder": {str(number): {"content": name, "special": True} for name, number in names.items()}}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    encoding = tiktoken.Encoding("kimi", pat_str=EXPRESSION, mergeable_ranks=ranks, special_tokens=names)
    texts = hard_texts() + [json.loads(line) for line in (DATA / "tokenizers" / "random_text.jsonl").read_text(encoding="utf-8").splitlines()]
    ids = (encoding.encode(text, disallowed_special=()) for text in texts)
    write_lines(out / "ids.txt", [fnv(" ".join(map(str, numbers)).encode()) for numbers in ids])


if __name__ == "__main__":
    main()
