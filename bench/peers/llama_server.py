"""Runs the HTTP server of llama.cpp, as packaged in xllamacpp: llama_server.py MODEL OPTIONS.

OPTIONS is JSON: slots, context (tokens of all slots together) and threads. All else, the cache of
prompts among it, is llama-server's default. Prints its URL and serves until standard input ends.
"""
import json
import sys

import xllamacpp


def main():
    options = json.loads(sys.argv[2])
    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.n_parallel = options["slots"]
    parameters.n_ctx = options["context"]
    parameters.cont_batching = True
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options["threads"]
    parameters.port = 0
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
