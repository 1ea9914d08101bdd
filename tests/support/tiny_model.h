// Tiny models with random weights, as real GGUF files: every architecture row and every number
// format has an end-to-end test without a download. The same spec always gives the same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/format.h"

namespace tessera {

// Of latent attention: of the latents, and of each head's keys, which q8_0 keys want to be rotated
// by 32, and values.
struct LatentLengths {
  int query = 32, key_value = 32;
  int rotated = 32, key = 64, value = 32;
};
inline constexpr LatentLengths kGlm47Flash = {
    .query = 768, .key_value = 512, .rotated = 64, .key = 256, .value = 256};

// A number that is 0 takes the default of the architecture and the format (small, but a whole
// number of blocks in every row).
struct TinyModelSpec {
  std::string architecture = "llama";  // one of tiny_model.cc's
  const Format* format = &kF32;  // of the matrices; norms and biases are F32, as in real files
  uint64_t seed = 1;
  int layers = 0;     // gemma3 takes 7, so that one layer (the sixth) is global
  int embedding = 0;  // 64, or 256 for formats with blocks of 256
  int heads = 0, kv_heads = 0, head_dim = 0;
  int rope_dimensions = 0;  // head_dim; less leaves the rest of a head unrotated (phi3)
  int feed_forward = 0;
  // A mixture: of each layer's experts so many work on a row. Families of mixtures take 6 and 2
  // (llama4 6 and 1, in every second layer),
  // some of them a shared expert, and a dense layer before the others. gemma4 without experts has
  // per-layer inputs and layers that share keys and values, as E2B; with them, keys in the place of
  // values and a dense network beside the experts, as 26B-A4B.
  int experts = 0, experts_used = 0;
  // Of recurrent layers: heads, those that have keys of their own, and the length of keys and
  // values of each. 4, 2 and 32.
  int state_heads = 0, state_key_heads = 0, state_dim = 0;
  LatentLengths latent = {};
  int next_token_layers = 0;  // behind the others, which predict further tokens: glm4moe, qwen35
  int vocabulary = 0;  // at least 300: bytes, merges and special tokens; the rest are unused tokens
  int context = 0;     // 256
  int window = 0;      // sliding window in tokens: gemma2 and gemma3 take 24; -1 for none
  // "": none; "linear"; "yarn"; "llama3": factors of each frequency in rope_freqs.weight;
  // "longrope": long and short factors, where contexts up to `context` / 4 take the short ones.
  std::string rope_scaling = {};
  bool tied = false;  // no output.weight: the embeddings serve (always so in gemma2, gemma3)
  // Every second layer has half of the query heads and of the feed-forward length, as pruned models
  // may: the metadata lists both by layer.
  bool uneven_layers = false;
  // Every second layer has half of the key-value heads, or heads half as long, all of them rotated.
  bool uneven_kv_heads = false, uneven_head_dims = false;
  bool chat_template = true;           // which base models lack
  bool merges = true;                  // or each byte is a token: another vocabulary
  bool attention_output_bias = false;  // which some Llama-like models ship
  // Draws few values for each tensor and repeats their blocks in random order: for models of full
  // size, which are to be written in seconds.
  bool repeat_blocks = false;
  // Says these tokens over and over, each behind the one before, whatever else stands there; behind
  // any other, the second. They must be different ones, no more than the embedding's length.
  std::vector<int> says = {};
};

// The spec with every default filled in.
TinyModelSpec with_defaults(TinyModelSpec spec);

// The format of a matrix of `columns` in a file of `format`: where rows are no whole number of
// blocks, the one with smaller blocks that llama.cpp falls back to, at last F16.
const Format& fitting_format(const Format& format, int columns);

// Writes the model to `path`.
void write_tiny_model_file(const TinyModelSpec& spec, const std::filesystem::path& path);

// Writes the model into `folder` and returns its path, which is the same for equal specs.
std::filesystem::path write_tiny_model(const TinyModelSpec& spec,
                                       const std::filesystem::path& folder);

}  // namespace tessera
