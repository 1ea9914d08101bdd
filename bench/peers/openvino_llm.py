"""OpenVINO GenAI (PyPI), which reads some GGUF files by itself.

Only whole generations can be asked for; its own clock tells the time of the prompt and of each
token after it, sampling (greedy) included. So there are no steps of several tokens to measure, and
no prompt that is read on top of a filled context.
"""
PACKAGES = ["openvino-genai==2026.4.1.0"]
DESCRIPTION = "openvino-genai 2026.4.1.0 (PyPI, as packaged); its kernels are made for the CPU that it finds (oneDNN)"
KV_PRECISIONS = {"f16": "f16", "q8_0": "u8"}


class OpenVino:
    NAME = "OpenVINO"

    def __init__(self, path, threads, kv):
        import openvino_genai
        self.genai = openvino_genai
        self.pipeline = openvino_genai.LLMPipeline(str(path), "CPU", INFERENCE_NUM_THREADS=threads,
                                                   KV_CACHE_PRECISION=KV_PRECISIONS[kv])

    def generate(self, tokens, count):
        """Returns the seconds that the prompt took, and those of each of `count` tokens after it."""
        import numpy
        import openvino
        ids = numpy.array([tokens], dtype=numpy.int64)
        inputs = self.genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(numpy.ones_like(ids)))
        config = self.genai.GenerationConfig(max_new_tokens=count + 1, ignore_eos=True, do_sample=False)
        metrics = self.pipeline.generate(inputs, config).perf_metrics
        return metrics.get_ttft().mean / 1e3, metrics.get_tpot().mean / 1e3
