// How families of tiny models differ: what their files hold, and what their layers are.
#pragma once

#include <string_view>
#include <vector>

#include "support/tiny_model.h"

namespace tessera::tiny {

inline bool is_qwen3(const TinyModelSpec& spec) {
  return spec.architecture == "qwen3" || spec.architecture == "qwen3moe";
}
inline bool is_gpt_oss(const TinyModelSpec& spec) {
  return spec.architecture == "gpt-oss";
}
inline bool is_deepseek(const TinyModelSpec& spec) {
  return spec.architecture == "deepseek2";
}
// A dense layer first, then experts chosen by a sigmoid and a correction, one of which all visit.
inline bool is_like_deepseek(const TinyModelSpec& spec) {
  return is_deepseek(spec) || spec.architecture == "glm4moe";
}
// Chunks of positions; every second layer is a mixture, whose shared expert is as long as the
// others.
inline constexpr int kChunk = 24;
inline bool is_llama4(const TinyModelSpec& spec) {
  return spec.architecture == "llama4";
}
inline bool is_recurrent(const TinyModelSpec& spec) {
  return spec.architecture == "qwen35" || spec.architecture == "qwen35moe" ||
         spec.architecture == "qwen3next";
}
inline bool is_mamba2(const TinyModelSpec& spec) {
  return spec.architecture == "mamba2";
}
inline bool is_nemotron(const TinyModelSpec& spec) {
  return spec.architecture == "nemotron_h" || spec.architecture == "nemotron_h_moe";
}
// All layers attend and recur.
inline bool is_falcon_h1(const TinyModelSpec& spec) {
  return spec.architecture == "falcon-h1";
}
// Those that attend do not.
inline bool is_state_space(const TinyModelSpec& spec) {
  return spec.architecture == "granitehybrid" || is_nemotron(spec) || is_mamba2(spec);
}
inline bool is_lfm2(const TinyModelSpec& spec) {
  return spec.architecture == "lfm2" || spec.architecture == "lfm2moe";
}
// The first layer's network is dense.
inline bool has_dense_layer(const TinyModelSpec& spec) {
  return is_like_deepseek(spec) || spec.architecture == "lfm2moe";
}
inline bool is_mixture(const TinyModelSpec& spec, int layer) {
  if (spec.experts == 0) return false;
  if (is_llama4(spec)) return layer % 2 == 1;
  return !(has_dense_layer(spec) && layer == 0);
}
// Every fourth layer attends. Of Nemotron-H one in two of the others is a feed-forward, and no
// layer has two parts. Of Mamba-2 no layer does either.
inline bool attends(const TinyModelSpec& spec, int layer) {
  const bool is_mixed = is_recurrent(spec) || is_state_space(spec) || is_lfm2(spec);
  return !is_mixed || (layer % 4 == 3 && !is_mamba2(spec));
}
inline bool feeds_forward(const TinyModelSpec& spec, int layer) {
  return !is_mamba2(spec) && (!is_nemotron(spec) || layer % 4 == 1);
}
inline constexpr int kTaps = 4;           // of recurrent layers' convolutions
inline constexpr int kExpertLatent = 32;  // what experts of nemotron_h_moe read and answer

// A number for each recurrent head: memories of different length, for example.
inline std::vector<float> by_state_head(const TinyModelSpec& spec, std::vector<float> first) {
  std::vector<float> values;
  for (int head = 0; head < spec.state_heads; ++head)
    values.push_back(first[static_cast<size_t>(head) % first.size()]);
  return values;
}

inline bool is_gemma4(const TinyModelSpec& spec) {
  return spec.architecture == "gemma4";
}
inline bool is_gemma(const TinyModelSpec& spec) {
  return spec.architecture == "gemma2" || spec.architecture == "gemma3" || is_gemma4(spec);
}

// Of gemma4: every third layer attends to everything, with heads twice as long. Without experts the
// last three share keys and values, and all read so much beside the stream.
inline constexpr int kGemma4Shared = 3, kPerLayerInput = 32;
inline bool is_unwindowed(const TinyModelSpec& spec, int layer) {
  return is_gemma4(spec) && layer % 3 == 2;
}
inline bool shares_kv(const TinyModelSpec& spec, int layer) {
  return is_gemma4(spec) && spec.experts == 0 && layer >= spec.layers - kGemma4Shared;
}
inline bool has_keys_as_values(const TinyModelSpec& spec, int layer) {
  return is_unwindowed(spec, layer) && spec.experts > 0;
}

// What a family's files hold beside, or instead of, what Llama's do.
struct Holds {
  std::string_view architecture;
  bool layer_norms = false;  // with biases, where all has biases
  bool biases = false;       // of all that is linear
  bool pre_norms = true, post_norms = false;
  bool feed_forward_norm = true;
  enum { kNone, kOfHeads, kOfRows } qk_norms = kNone;
  bool fused_qkv = false;
  bool gate = true;
  bool positions = false;
  bool embedding_norm = false;
  int window = 0, layers = 0;  // 0: the usual ones
  bool tied = false;
};
Holds holds_of(const TinyModelSpec& spec);

// Of each layer.
int heads_of(const TinyModelSpec& spec, int layer);
int kv_heads_of(const TinyModelSpec& spec, int layer);
int head_dim_of(const TinyModelSpec& spec, int layer);
int feed_forward_of(const TinyModelSpec& spec, int layer);
// Of each expert.
int expert_width(const TinyModelSpec& spec);

}  // namespace tessera::tiny
