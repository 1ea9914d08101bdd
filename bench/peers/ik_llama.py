"""ik_llama.cpp, built for this machine (builds.py): a fork of llama.cpp made for CPUs.

Its C interface is an older llama.h. The ctypes structs of ik-llama-cpp-python say where the fields of
the parameters are; those of another version would be read wrongly, so the version is fixed and defaults
are checked.
"""
import ctypes as c
import importlib
import os
import sys

import builds
import llama


class IkLlama(llama.Llama):
    """One model and one context; `repack` interleaves the rows of the weights as it loads them."""

    NAME = "ik_llama.cpp"

    def __init__(self, path, repack=False, **options):
        self.repack = repack
        build = builds.build(self.NAME)
        os.environ["IK_LLAMA_CPP_LIB_PATH"] = str(build.file("libllama.so"))
        sys.path.insert(0, str(build.folder))
        self.api = importlib.import_module("ik_llama_cpp._ctypes_api")
        super().__init__(path, **options)

    def _library(self):
        # A second handle of the library that the bindings have loaded, with this module's types.
        lib = c.CDLL(self.api._lib._name)
        lib.llama_kv_cache_clear.restype, lib.llama_kv_cache_clear.argtypes = None, [c.c_void_p]
        lib.llama_kv_cache_seq_rm.restype = c.c_bool
        lib.llama_kv_cache_seq_rm.argtypes = [c.c_void_p, c.c_int32, c.c_int32, c.c_int32]
        return lib

    def _model_parameters(self):
        blob = self.lib.llama_model_default_params()
        fields = c.cast(c.pointer(blob), c.POINTER(self.api.llama_model_params)).contents
        if not fields.use_mmap or fields.repack_tensors:
            raise RuntimeError("this version of ik_llama.cpp has another llama_model_params")
        if self.repack:
            fields.use_mmap, fields.repack_tensors = False, True
        return blob

    def _parameters(self, context, flash_attention, kv_type):
        blob = self.lib.llama_context_default_params()
        fields = c.cast(c.pointer(blob), c.POINTER(self.api.llama_context_params)).contents
        if [fields.n_ctx, fields.n_batch, fields.n_ubatch, fields.type_k, fields.type_v] != [512, 2048, 512, 1, 1]:
            raise RuntimeError("this version of ik_llama.cpp has another llama_context_params")
        fields.n_ctx = context
        fields.type_k = fields.type_v = kv_type
        if flash_attention is not None:
            fields.flash_attn = flash_attention
        return blob

    def close(self):
        self.lib.llama_free(self.context)
        self.api.llama_free_model(self.model)

    def clear(self):
        self.lib.llama_kv_cache_clear(self.context)

    def rewind(self, length):
        if not self.lib.llama_kv_cache_seq_rm(self.context, 0, length, -1):
            raise RuntimeError(f"{self.NAME} cannot forget what follows position {length}")
