"""llama.cpp, built for this machine (builds.py), behind a few plain calls.

The scripts that compare Tessera with it run in a throw-away virtual environment, which this module
makes under build/peers. libllama exports llama.cpp's C interface (llama.h); it is called through
ctypes. The parameter structs grow from version to version, so they are passed as blobs that are large
enough, and only fields that are recognized by their default values are set.
"""
import ctypes as c
import os
import pathlib
import subprocess
import sys

import builds

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"
PACKAGES = ["gguf==0.19.0", "numpy"]


def in_peer_environment():
    """Runs the calling script again in the virtual environment, which is made if need be."""
    python = PEERS / "venv" / "bin" / "python"
    stamp = PEERS / "venv" / "packages.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(PACKAGES):
        print(f"making a virtual environment with {', '.join(PACKAGES)}", file=sys.stderr)
        PEERS.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *PACKAGES],
                       check=True, stdout=sys.stderr)
        stamp.write_text("\n".join(PACKAGES))
    if pathlib.Path(sys.prefix).resolve() != (PEERS / "venv").resolve():
        os.execv(python, [python, *sys.argv])


def install_peer(*packages):
    """Adds packages that only a measurement needs to the virtual environment. RuntimeError, in one
    line, where that fails; the failure is not remembered."""
    stamp = PEERS / "venv" / f"{packages[0]}.txt"
    if stamp.exists():
        return
    print(f"installing {', '.join(packages)}", file=sys.stderr)
    result = subprocess.run([PEERS / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--only-binary",
                             ":all:", *packages], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    if result.returncode != 0:
        errors = [line for line in result.stdout.splitlines() if line.startswith("ERROR:")]
        raise RuntimeError(f"pip cannot install {packages[0]}: {(errors or ['no reason given'])[-1]}")
    stamp.touch()


KV_TYPES = {"f16": 1, "q8_0": 8}  # ggml_type


class Blob(c.Structure):
    """A C struct that is passed by value and larger than any version of it."""
    _fields_ = [("words", c.c_uint64 * 64)]

    def ints(self):
        return c.cast(c.pointer(self), c.POINTER(c.c_int32))


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p),
                ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8)),
                ("later_fields", c.c_uint64 * 8)]


def declare(lib):
    """Gives the functions of llama.h that are used here, as far as `lib` has them, their types."""
    pointer, integer = c.c_void_p, c.c_int32
    signatures = {
        "llama_backend_init": (None, []),
        "llama_model_default_params": (Blob, []),
        "llama_context_default_params": (Blob, []),
        "llama_model_load_from_file": (pointer, [c.c_char_p, Blob]),
        "llama_model_free": (None, [pointer]),
        "llama_init_from_model": (pointer, [pointer, Blob]),
        "llama_free": (None, [pointer]),
        "llama_set_n_threads": (None, [pointer, integer, integer]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_model_chat_template": (c.c_char_p, [pointer, c.c_char_p]),
        "llama_vocab_n_tokens": (integer, [pointer]),
        "llama_vocab_bos": (integer, [pointer]),
        "llama_vocab_get_add_bos": (c.c_bool, [pointer]),
        "llama_vocab_is_eog": (c.c_bool, [pointer, integer]),
        "llama_tokenize": (integer, [pointer, c.c_char_p, integer, c.POINTER(integer), integer, c.c_bool, c.c_bool]),
        "llama_batch_init": (Batch, [integer, integer, integer]),
        "llama_decode": (integer, [pointer, Batch]),
        "llama_get_logits_ith": (c.POINTER(c.c_float), [pointer, integer]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, c.c_bool]),
        "llama_memory_seq_rm": (c.c_bool, [pointer, integer, integer, integer]),
        "llama_synchronize": (None, [pointer]),
        "llama_log_set": (None, [pointer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        if hasattr(lib, name):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    return lib


@c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
def _silent(_level, _text, _user):
    pass


class Llama:
    """One model and one context of llama.cpp."""

    NAME = "llama.cpp"
    MAX_BATCH = 2048

    def __init__(self, path, context=512, threads=2, flash_attention=None, kv="f16"):
        import numpy
        self.numpy = numpy
        self.lib = lib = declare(self._library())
        lib.llama_log_set(c.cast(_silent, c.c_void_p), None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(str(path).encode(), self._model_parameters())
        if not self.model:
            raise RuntimeError(f"{self.NAME} cannot load {path}")
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.context = lib.llama_init_from_model(self.model, self._parameters(context, flash_attention, KV_TYPES[kv]))
        if not self.context:
            raise RuntimeError(f"{self.NAME} cannot make a context of {context} tokens, {kv} cache")
        lib.llama_set_n_threads(self.context, threads, threads)
        self.batch = lib.llama_batch_init(self.MAX_BATCH, 0, 1)
        self.n_vocab = lib.llama_vocab_n_tokens(self.vocab)

    def _library(self):
        return c.CDLL(str(builds.build("llama.cpp").file("libllama.so")))

    def _model_parameters(self):
        return self.lib.llama_model_default_params()

    def _parameters(self, context, flash_attention, kv_type):
        blob = self.lib.llama_context_default_params()
        ints = blob.ints()
        values = ints[:32]
        if values[:3] != [512, 2048, 512]:
            raise RuntimeError("this version of llama.cpp has another llama_context_params; expected n_ctx first")
        ints[0] = context
        # ..., rope_scaling_type, pooling_type, attention_type, flash_attn_type: all -1 by default.
        unset = next(i for i in range(28) if values[i:i + 4] == [-1] * 4)
        if flash_attention is not None:
            ints[unset + 3] = 1 if flash_attention else 0
        # cb_eval and its data: null; type_k, type_v: f16 by default.
        nulls = next(i for i in range(unset + 4, 26) if values[i:i + 6] == [0] * 4 + [1] * 2)
        ints[nulls + 4] = ints[nulls + 5] = kv_type
        return blob

    def close(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def tokenize(self, text, add_special=True, parse_special=True):
        data = text.encode()
        room = len(data) + 16
        tokens = (c.c_int32 * room)()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), tokens, room, add_special, parse_special)
        if count < 0:
            raise RuntimeError(f"llama_tokenize needs {-count} tokens for {len(data)} bytes")
        return list(tokens[:count])

    def has_chat_template(self):
        return self.lib.llama_model_chat_template(self.model, None) is not None

    def clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def rewind(self, length):
        """Forgets all but the first `length` tokens."""
        if not self.lib.llama_memory_seq_rm(self.lib.llama_get_memory(self.context), 0, length, -1):
            raise RuntimeError(f"{self.NAME} cannot forget what follows position {length}")

    def decode(self, tokens, start, wanted):
        """Runs tokens at positions start, start + 1, ...; the logits of those in `wanted` can be read after."""
        if not 0 < len(tokens) <= self.MAX_BATCH:
            raise ValueError(f"a batch of {len(tokens)} tokens, expected 1 to {self.MAX_BATCH}")
        batch = self.batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i in wanted
        status = self.lib.llama_decode(self.context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode answers {status}")

    def logits(self, index):
        """The logits of the index-th token of the last decode(), a view that the next decode() overwrites."""
        return self.numpy.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, index), (self.n_vocab,))

    def synchronize(self):
        self.lib.llama_synchronize(self.context)

    def perplexity(self, text, chunks, context=512):
        """As llama.cpp's perplexity tool: chunks read from nothing, the second half of each is scored."""
        numpy = self.numpy
        tokens = self.tokenize(text, add_special=True, parse_special=False)
        add_bos = self.lib.llama_vocab_get_add_bos(self.vocab)
        chunks = min(chunks or len(tokens), len(tokens) // context)
        first = context // 2
        total, count = 0.0, 0
        for number in range(chunks):
            chunk = tokens[number * context:(number + 1) * context]
            read = list(chunk)
            if add_bos:
                read[0] = self.lib.llama_vocab_bos(self.vocab)
            self.clear()
            self.decode(read, 0, range(first, context - 1))
            for i in range(first, context - 1):
                row = self.logits(i).astype(numpy.float64)
                top = row.max()
                total += top + numpy.log(numpy.exp(row - top).sum()) - row[chunk[i + 1]]
                count += 1
            if sys.stderr.isatty():
                print(f"\rllama.cpp: chunk {number + 1} of {chunks}, perplexity {numpy.exp(total / count):.4f}\x1b[K",
                      end="" if number + 1 < chunks else "\n", file=sys.stderr)
        return {"perplexity": float(numpy.exp(total / count)), "chunks": chunks, "tokens": count}

    def greedy(self, tokens, count):
        """Continues `tokens` with the most likely token, `count` times or until the answer ends. Returns
        the new tokens without the one that ends it, the two best [token, logit] of each step, and
        whether it ended."""
        self.clear()
        self.decode(tokens, 0, [len(tokens) - 1])
        chosen, best = [], []
        index = len(tokens) - 1
        while len(chosen) < count:
            row = self.logits(index)
            two = self.numpy.argpartition(row, -2)[-2:]
            two = two[self.numpy.argsort(-row[two])]
            best.append([[int(t), float(row[t])] for t in two])
            token = int(two[0])
            if self.lib.llama_vocab_is_eog(self.vocab, token):
                return {"tokens": chosen, "best": best, "ended": True}
            chosen.append(token)
            self.decode([token], len(tokens) + len(chosen) - 1, [0])
            index = 0
        return {"tokens": chosen, "best": best, "ended": False}
