#!/usr/bin/env python3
"""Writes tests/data/tokenizers/: small tokenizers of every kind, and what Hugging Face's package makes of
texts with them.

    python3 -m venv v && v/bin/pip install tokenizers sentencepiece
    v/bin/python tests/tools/make_tokenizer_goldens.py [NAME...]   # those alone, with the vocabularies that are there

models/*.json are vocabularies that several tokenizers share (the "model" of a tokenizer.json); NAME.json is
the rest of one, with "model" the name of its vocabulary, or with flags to put over it; NAME.txt has a line
for each text of hard_text.jsonl and then random_text.jsonl: hashes (the lower half of FNV-1a) of its ids, of its ids where
special tokens are letters (only of vocabularies that leave them no letters' merges), and of the text that the
first decode to. Its first line is the ids of
"Hello world" with the tokens that begin and end a text. Used by tests/text/huggingface_test.cc, and with
larger vocabularies and more texts by script/compare-tokenizers.

The vocabularies are trained without cutting words, on texts that are cut at odd places: wherever a
tokenizer cuts, there are merges that cross the place, so that a cut too few or too many shows in the ids.
Training breaks ties at random: made again, vocabularies and hashes change, all together.
"""
import base64
import copy
import io
import json
import pathlib
import random
import sys
import tempfile

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LOWER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
LLAMA3 = f"{CONTRACTION}|{WORD}|" + r"\p{N}{1,3}|" + f"{SIGNS}|{SPACES}"
QWEN2 = f"{CONTRACTION}|{WORD}|" + r"\p{N}|" + f"{SIGNS}|{SPACES}"
GPT4O = (f"{LOWER}{CONTRACTION}?|{UPPER}{CONTRACTION}?|" + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES)
# With the line breaks themselves in it, as published.
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
             r" ?[\p{P}\p{S}]+[\r\n]*|" + SPACES).replace(r"\r\n", "\r\n")

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def pre(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def normal(*parts):
    return {"type": "Sequence", "normalizers": list(parts)}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def decode(*parts):
    return {"type": "Sequence", "decoders": list(parts)}


def added(content, special=False, **flags):
    token = {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": not special, "special": special}
    return {**token, **flags}


def template(before=(), after=()):
    one = [{"SpecialToken": {"id": t, "type_id": 0}} for t in before]
    one += [{"Sequence": {"id": "A", "type_id": 0}}]
    one += [{"SpecialToken": {"id": t, "type_id": 0}} for t in after]
    pair = one + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": one, "pair": pair,
            "special_tokens": {t: {"id": t, "ids": [t], "tokens": [t]} for t in [*before, *after]}}


BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
SPM_DECODER = decode(replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"})
LLAMA_DECODER = decode(replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                       {"type": "Strip", "content": " ", "start": 1, "stop": 0})


def metaspace(scheme, **more):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, **more}


BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORD_PIECES = {"type": "WordPiece", "prefix": "##", "cleanup": True}


def bert_normalizer(lowercase, **more):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": lowercase, **more}


def specials(*names):
    return [added(name, True) for name in names]


# name: (vocabulary, flags of the model, the other parts). Ids are filled in by complete().
TOKENIZERS = {
    "gpt2": ("bytes", {}, {"pre_tokenizer": byte_level(regex=True), "decoder": BYTES,
                           "post_processor": byte_level(), "added_tokens": specials("<|endoftext|>")}),
    "gpt2_prefix": ("bytes", {}, {
        "pre_tokenizer": byte_level(True, True), "decoder": BYTES, "added_tokens": specials(*SPECIAL),
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|im_end|>", None],
                           "cls": ["<|im_start|>", None], "trim_offsets": True, "add_prefix_space": True}}),
    "llama3": ("bytes", {"ignore_merges": True}, {
        "pre_tokenizer": pre(split(LLAMA3), byte_level()), "decoder": BYTES, "added_tokens": specials(*SPECIAL),
        "post_processor": {"type": "Sequence", "processors": [byte_level(), template(["<|im_start|>"])]}}),
    "qwen2": ("bytes", {"merges": "strings"}, {
        "normalizer": {"type": "NFC"}, "pre_tokenizer": pre(split(QWEN2), byte_level()), "decoder": BYTES,
        "post_processor": byte_level(),
        "added_tokens": [*specials(*SPECIAL), added("<tool_call>", normalized=False), added("\n\n\n")]}),
    "deepseek3": ("bytes", {}, {
        "pre_tokenizer": pre(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK3), byte_level()),
        "decoder": BYTES, "added_tokens": [*specials("<｜end▁of▁sentence｜>"), added("<｜User｜>")]}),
    "deepseek_coder": ("bytes", {}, {
        "normalizer": normal(), "decoder": BYTES,
        "pre_tokenizer": pre(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                             split("[一-龥ࠀ-一가-퟿]+"), split(r"\s+$"),
                             {"type": "Digits", "individual_digits": True}, byte_level())}),
    "falcon": ("bytes", {}, {
        "pre_tokenizer": pre({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(regex=True),
                             {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")),
        "decoder": BYTES, "added_tokens": specials("<|endoftext|>")}),
    "gpt4o": ("bytes", {}, {"pre_tokenizer": pre(split(GPT4O, "Removed", True), byte_level()),
                            "decoder": BYTES, "added_tokens": specials(*SPECIAL)}),
    "smollm": ("bytes", {}, {
        "pre_tokenizer": pre({"type": "Digits", "individual_digits": True}, byte_level(regex=True)),
        "decoder": BYTES, "added_tokens": specials(*SPECIAL)}),
    "byte_normalizer": ("bytes", {}, {
        "normalizer": normal({"type": "NFKC"}, {"type": "ByteLevel"}), "decoder": BYTES,
        "added_tokens": specials(*SPECIAL)}),
    "behaviours": ("bytes", {}, {
        "normalizer": {"type": "NFD"}, "decoder": BYTES,
        "pre_tokenizer": pre(split("a", "MergedWithPrevious", kind="String"), split("[eé]|(?=o)", "MergedWithNext"),
                             split(r"[\s&&[^\n]]{2}+|\bthe\b", "Contiguous"),
                             split(r"[[:upper:]\W&&[^\h]]+", "Isolated", True),
                             {"type": "FixedLength", "length": 7}, byte_level())}),
    "llama2": ("characters", {}, {
        "normalizer": normal({"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")),
        "decoder": LLAMA_DECODER, "post_processor": template(["<s>"]),
        "added_tokens": [added("<unk>", True), added("<s>", True), added("</s>", True, normalized=True)]}),
    "gemma": ("characters", {}, {
        "normalizer": replace(" ", "▁"), "pre_tokenizer": split(" ", "MergedWithPrevious", kind="String"),
        "decoder": SPM_DECODER, "post_processor": template(["<s>"]),
        "added_tokens": [*specials("<unk>", "<s>", "</s>"), added("\n\n", normalized=False),
                         added("▁▁▁", normalized=False), added("<b>", normalized=False)]}),
    "mistral": ("characters", {}, {
        "pre_tokenizer": metaspace("first", split=False), "decoder": LLAMA_DECODER,
        "post_processor": template(["<s>"], ["</s>"]),
        "added_tokens": [*specials("<unk>", "<s>", "</s>"), added("[INST]", True, lstrip=True)]}),
    "unknown": ("few_characters", {}, {
        "normalizer": normal({"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                             {"type": "Strip", "strip_left": True, "strip_right": True}),
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": SPM_DECODER, "added_tokens": specials("<unk>")}),
    "fused_unknown": ("few_characters", {"fuse_unk": True}, {
        "normalizer": normal({"type": "Nmt"}, {"type": "NFKD"}),
        "pre_tokenizer": pre({"type": "BertPreTokenizer"}, metaspace("always")),
        "decoder": metaspace("always"), "added_tokens": specials("<unk>")}),
    "flags": ("few_characters", {}, {
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "decoder": SPM_DECODER,
        "added_tokens": [*specials("<unk>"), added("The", normalized=True), added("Word", single_word=True),
                         added("<l>", lstrip=True), added("<r>", rstrip=True, normalized=False),
                         added("<mask>", True, lstrip=True, rstrip=True), added("a", single_word=True),
                         added(" ", normalized=False, single_word=True), added("--", normalized=False),
                         added("---", normalized=False)]}),
    "t5": ("unigram", {}, {
        "normalizer": normal({"type": "Precompiled", "precompiled_charsmap": "tiny"},
                             replace(" {2,}", " ", "Regex")),
        "pre_tokenizer": metaspace("always"), "decoder": metaspace("always"),
        "post_processor": template([], ["</s>"]), "added_tokens": specials("<unk>", "<s>", "</s>", "<extra_id_0>")}),
    "unigram_bytes": ("unigram", {"byte_fallback": True}, {
        "normalizer": normal({"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": False}),
        "pre_tokenizer": metaspace("first", split=False), "decoder": SPM_DECODER,
        "added_tokens": specials("<unk>", "<s>", "</s>")}),
    "bert": ("word_pieces", {}, {
        "normalizer": bert_normalizer(True), "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": WORD_PIECES,
        "post_processor": template(["[CLS]"], ["[SEP]"]), "added_tokens": specials(*BERT_SPECIAL)}),
    "bert_cased": ("word_pieces", {}, {
        "normalizer": bert_normalizer(False), "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": WORD_PIECES,
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", None], "cls": ["[CLS]", None]},
        "added_tokens": specials(*BERT_SPECIAL)}),
    "bert_short_words": ("word_pieces", {"max_input_chars_per_word": 5}, {
        "normalizer": bert_normalizer(True, clean_text=False, handle_chinese_chars=False, strip_accents=False),
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": WORD_PIECES,
        "added_tokens": specials(*BERT_SPECIAL)}),
}

PIECES = [
    "the", "The", " quick", "brown", "Word", "word", "WORDS", "iPhone", "HTTPServer", "don't", "I'M", "'ll", "'S",
    "1", "12", "123", "1234567", "3.14", "²", "½", "Ⅷ", "٣٤", "१२", "𝟘", " ", " ", " ", "  ", "   ", "\t", "\n", "\n\n",
    "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "\ufeff", ".", ",", "!?", "...", "--", "---", "/",
    "//", "(", ")", "[]", "{}", "<", ">", "$", "+=", "^", "~", "`", "|", "_", "\\", "\"", "#", "%", "&", "*", "@", "。",
    "，", "！", "…", "—", "“", "”", "é", "e\u0301", "ñ", "ü", "ß", "ſ", "İ", "ı", "\u212b", "Å", "\u1112\u1161\u11ab", "ﬁ", "ﷺ", "㍿", "Ω", "мир",
    "МИР", "שלום", "سلام", "नमस्ते", "ไทย", "한국어", "한", "日本語", "漢字", "々", "カタカナ", "ｶﾅ", "ＡＢ", "①",
    "👩‍👩‍👧", "🇩🇪", "😀", "❤️", "\u0301", "\u200d", "\x00", "\x01", "\x7f", "\x8f", "▁", "▁▁", "a", "e", "o", "<s>", "</s>",
    "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<l>", "<r>", "<mask>", "<b>", "[INST]", "<tool_call>",
    "<0x0A>", "<extra_id_0>", "<｜User｜>", "\U0001123f", "\U0001e4f0", "\u1c89", "\ud7ff", "\U0010ffff", "𐐀",
]


def random_texts(count, seed):
    """Pieces of all kinds in a row, some of them cut in two, with single characters of any script between."""
    rng = random.Random(seed)
    blocks = [(0x20, 0x7f), (0xa0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe00),
              (0x1e00, 0x2000), (0x2000, 0x2070), (0x2100, 0x2c00), (0x3000, 0x3100), (0x4e00, 0x9fff),
              (0xac00, 0xd7a4), (0xf900, 0xfb10), (0xfe30, 0xffef), (0x1f300, 0x1f700), (0x20000, 0x20100)]
    texts = []
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 12)):
            piece = rng.choice(PIECES)
            roll = rng.random()
            if roll < 0.15 and len(piece) > 1:
                piece = piece[rng.randint(1, len(piece) - 1):]
            elif roll < 0.3:
                piece = chr(rng.randrange(*rng.choice(blocks)))
            elif roll < 0.35:
                piece *= rng.randint(2, 5)
            text += piece + (" " if rng.random() < 0.25 else "")
        texts.append(text)
    return texts


def training_texts(texts):
    """The texts, each over and over from odd places on, so that what stands often beside is joined."""
    rng = random.Random(1)
    pieces = []
    for text in texts + PIECES:
        for _ in range(6):
            begin = rng.randint(0, max(0, len(text) - 2))
            pieces.append(text[begin:begin + rng.randint(2, 12)])
    return [p for p in pieces if p]


def train_bytes(texts, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=256 + size, show_progress=False, max_token_length=16,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def train_characters(texts, size, with_bytes, alphabet):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    first = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if with_bytes else [])
    trainer = trainers.BpeTrainer(vocab_size=len(first) + size, show_progress=False, max_token_length=10,
                                  special_tokens=first, limit_alphabet=alphabet)
    # No merges shall lead to special tokens.
    tokenizer.train_from_iterator([t.replace(" ", "▁") for t in texts if "<" not in t and ">" not in t], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    model.update(byte_fallback=with_bytes, fuse_unk=with_bytes)
    return model


def train_word_pieces(texts, size):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=BERT_SPECIAL,
                                        limit_alphabet=250)
    lowered = [t.lower() for t in texts]
    tokenizer.train_from_iterator(texts + lowered, trainer)
    return json.loads(tokenizer.to_str())["model"]


def train_unigram(texts, size, sentencepiece, folder):
    """SentencePiece's trainer, whose scores are floats."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t.replace("\n", " ").replace("\0", " ") for t in texts]), model_writer=out,
        vocab_size=459 + size, byte_fallback=True, character_coverage=0.98, hard_vocab_limit=False,
        normalization_rule_name="identity", minloglevel=2, max_sentencepiece_length=8, num_threads=1)
    (folder / "unigram.model").write_bytes(out.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "unigram.model"))
    vocab = [[pieces.id_to_piece(i), pieces.get_score(i)] for i in range(len(pieces))]
    return {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": vocab}


def tiny_charsmap(sentencepiece, folder):
    """A precompiled charsmap of a few rules, as SentencePiece writes it."""
    rules = {"ﬁ": "fi", "\u212b": "Å", "e\u0301": "é", "①": "1", "㍿": "株式会社", "\u3000": " ", "\u00a0": " ",
             "\t": " ", "\n": " ", "\r": " ", "\u200b": "", "Ａ": "A", "ｶ": "カ", "…": "...", "ß": "ss", "\x01": "",
             "\u1112\u1161\u11ab": "한", "❤": "♥", "a\u0301": "á"}
    rows = ["\t".join(" ".join(f"{ord(c):X}" for c in side) for side in rule) for rule in rules.items()]
    (folder / "rules.tsv").write_text("\n".join(rows) + "\n")
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["some text", "to train on"]), model_writer=out, vocab_size=20, hard_vocab_limit=False,
        normalization_rule_tsv=str(folder / "rules.tsv"), minloglevel=2, num_threads=1)
    return base64.b64encode(find_charsmap(out.getvalue())).decode()


def fields(message):
    """The fields of a protobuf message: number and value."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            yield key >> 3, message[at:at + size]
            at += size


def find_charsmap(model):
    normalizer = next(value for number, value in fields(model) if number == 3)
    return next(value for number, value in fields(normalizer) if number == 2)


def make_models(texts, size):
    import sentencepiece  # noqa: PLC0415  (only here)

    pieces = training_texts(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        return {
            "bytes": train_bytes(pieces, size),
            "characters": train_characters(pieces, 2 * size, True, 150),
            "few_characters": train_characters(pieces, size, False, 60),
            "unigram": train_unigram(pieces, size, sentencepiece, path),
            "word_pieces": train_word_pieces(pieces, 4 * size),
        }, tiny_charsmap(sentencepiece, path)


def complete(name, models_by_name, charsmap):
    """All of a tokenizer.json."""
    vocabulary, flags, parts = copy.deepcopy(TOKENIZERS[name])
    model = {**copy.deepcopy(models_by_name[vocabulary]), **flags}
    if flags.get("merges") == "strings":
        model["merges"] = [" ".join(pair) for pair in models_by_name[vocabulary]["merges"]]
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}
    vocab = model["vocab"]
    ids = dict(vocab) if isinstance(vocab, dict) else {piece: i for i, (piece, _) in enumerate(vocab)}
    for token in tokenizer["added_tokens"]:
        ids.setdefault(token["content"], len(ids))
        token["id"] = ids[token["content"]]
    for part in tokenizer["normalizer"]["normalizers"] if "normalizers" in (tokenizer["normalizer"] or {}) else []:
        if part.get("precompiled_charsmap"):
            part["precompiled_charsmap"] = charsmap
    fill_ids(tokenizer["post_processor"], ids)
    return tokenizer


def fill_ids(part, ids):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "ids":
                part[key] = [ids[token] for token in value]
            elif key in ("sep", "cls"):
                part[key] = [value[0], ids[value[0]]]
            else:
                fill_ids(value, ids)
    elif isinstance(part, list):
        for value in part:
            fill_ids(value, ids)


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return f"{value & 0xffffffff:08x}"


def encode(tokenizer, text, letters=False):
    tokenizer.encode_special_tokens = letters
    return tokenizer.encode(text, add_special_tokens=False).ids


def decode_ids(tokenizer, ids, text):
    """"" where Tessera means to do better: of bytes in a row that are no text, the package shows none of those
    that are, and special tokens that are normalized it takes for text."""
    if "<0x" in text:
        return ""
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return tokenizer.decode([i for i in ids if i not in special])


def line_for(tokenizer, vocabulary, text):
    ids = encode(tokenizer, text)
    letters = encode(tokenizer, text, True) if vocabulary == "bytes" else []
    return " ".join(fnv(" ".join(map(str, numbers)).encode()) for numbers in (ids, letters)) + " " + fnv(decode_ids(tokenizer, ids, text).encode())


def hard_texts():
    return [json.loads(line) for line in (DATA / "hard_text.jsonl").read_text(encoding="utf-8").splitlines()]


def write_lines(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    out = DATA / "tokenizers"
    (out / "models").mkdir(parents=True, exist_ok=True)
    texts = hard_texts()
    more = random_texts(120, 1)
    write_lines(out / "random_text.jsonl", [json.dumps(text) for text in more])
    wanted = sys.argv[1:]
    if wanted:
        models_by_name = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (out / "models").glob("*.json")}
        models_by_name.setdefault("word_pieces", train_word_pieces(training_texts(texts), 1200))
        charsmap = None
    else:
        models_by_name, charsmap = make_models(texts, 300)
    for name, model in models_by_name.items():
        dump(out / "models" / f"{name}.json", model)
    for name, (vocabulary, flags, _) in TOKENIZERS.items():
        if wanted and name not in wanted:
            continue
        whole = complete(name, models_by_name, charsmap)
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        lines = [" ".join(map(str, tokenizer.encode("Hello world").ids))]
        lines += [line_for(tokenizer, vocabulary, text) for text in texts + more]
        write_lines(out / f"{name}.txt", lines)
        dump(out / f"{name}.json", {**whole, "model": {"vocabulary": vocabulary, **flags}})


if __name__ == "__main__":
    main()
