#include "support/tiny_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "files/gguf/writer.h"
#include "support/tiny_tokenizer.h"

namespace tessera {
namespace {

uint64_t hash_text(std::string_view text, uint64_t hash = 0xcbf29ce484222325u) {  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Random numbers that are the same with every compiler and library: integers and one exact scaling.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits() {  // SplitMix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(bits() >> 40) * 0x1p-24f; }
  // Nearly normal: the sum of 12 uniform variables has variance 1.
  float normal() {
    float sum = -6.0f;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  uint64_t state_;
};

bool is_qwen3(const TinyModelSpec& spec) {
  return spec.architecture == "qwen3" || spec.architecture == "qwen3moe";
}
bool is_gpt_oss(const TinyModelSpec& spec) {
  return spec.architecture == "gpt-oss";
}
bool is_deepseek(const TinyModelSpec& spec) {
  return spec.architecture == "deepseek2";
}
// A dense layer first, then experts chosen by a sigmoid and a correction, one of which all visit.
bool is_like_deepseek(const TinyModelSpec& spec) {
  return is_deepseek(spec) || spec.architecture == "glm4moe";
}
bool is_recurrent(const TinyModelSpec& spec) {
  return spec.architecture == "qwen35" || spec.architecture == "qwen35moe" ||
         spec.architecture == "qwen3next";
}
bool is_state_space(const TinyModelSpec& spec) {
  return spec.architecture == "granitehybrid" || spec.architecture == "nemotron_h";
}
bool is_lfm2(const TinyModelSpec& spec) {
  return spec.architecture == "lfm2";
}
// Every fourth layer attends. Of Nemotron-H one in two of the others is a feed-forward, and no
// layer has two parts.
bool attends(const TinyModelSpec& spec, int layer) {
  const bool is_mixed = is_recurrent(spec) || is_state_space(spec) || is_lfm2(spec);
  return !is_mixed || layer % 4 == 3;
}
bool feeds_forward(const TinyModelSpec& spec, int layer) {
  return spec.architecture != "nemotron_h" || layer % 4 == 1;
}
constexpr int kTaps = 4;  // of recurrent layers' convolutions

// A number for each recurrent head: memories of different length, for example.
std::vector<float> by_state_head(const TinyModelSpec& spec, std::vector<float> first) {
  std::vector<float> values;
  for (int head = 0; head < spec.state_heads; ++head)
    values.push_back(first[static_cast<size_t>(head) % first.size()]);
  return values;
}

// Lengths of latent attention: of a head's keys half is rotated, which q8_0 keys want to be 32.
constexpr int kLatent = 32, kRotated = 32, kKey = 64, kValue = 32, kQueryLatent = 32;
bool is_gemma4(const TinyModelSpec& spec) {
  return spec.architecture == "gemma4";
}
bool is_gemma(const TinyModelSpec& spec) {
  return spec.architecture == "gemma2" || spec.architecture == "gemma3" || is_gemma4(spec);
}

// Of gemma4: every third layer attends to everything, with heads twice as long. Without experts the
// last three share keys and values, and all read so much beside the stream.
constexpr int kGemma4Shared = 3, kPerLayerInput = 32;
bool is_unwindowed(const TinyModelSpec& spec, int layer) {
  return is_gemma4(spec) && layer % 3 == 2;
}
bool shares_kv(const TinyModelSpec& spec, int layer) {
  return is_gemma4(spec) && spec.experts == 0 && layer >= spec.layers - kGemma4Shared;
}
bool has_keys_as_values(const TinyModelSpec& spec, int layer) {
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

constexpr Holds kFamilies[] = {
    {.architecture = "gemma", .tied = true},
    {.architecture = "lfm2", .qk_norms = Holds::kOfHeads, .layers = 5},
    {.architecture = "granitehybrid", .layers = 5},
    {.architecture = "nemotron_h", .gate = false, .layers = 7},
    {.architecture = "smollm3", .layers = 5},
    {.architecture = "olmo2",
     .pre_norms = false,
     .post_norms = true,
     .qk_norms = Holds::kOfRows,
     .window = 24,
     .layers = 4},
    {.architecture = "granite"},
    {.architecture = "exaone4",
     .pre_norms = false,
     .post_norms = true,
     .qk_norms = Holds::kOfHeads,
     .window = 24,
     .layers = 4},
    {.architecture = "mistral3"},
    {.architecture = "gpt2",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false,
     .positions = true},
    {.architecture = "opt", .layer_norms = true, .biases = true, .gate = false, .positions = true},
    {.architecture = "gptneox",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false},
    {.architecture = "phi2",
     .layer_norms = true,
     .biases = true,
     .feed_forward_norm = false,
     .gate = false},
    {.architecture = "stablelm", .layer_norms = true},
    {.architecture = "cohere2",
     .layer_norms = true,
     .feed_forward_norm = false,
     .window = 24,
     .layers = 4,
     .tied = true},
    {.architecture = "bloom",
     .layer_norms = true,
     .biases = true,
     .fused_qkv = true,
     .gate = false,
     .embedding_norm = true},
    {.architecture = "mpt", .layer_norms = true, .fused_qkv = true, .gate = false},
    {.architecture = "olmoe", .qk_norms = Holds::kOfRows},
    {.architecture = "minimax-m2", .qk_norms = Holds::kOfRows},
};

Holds holds_of(const TinyModelSpec& spec) {
  for (const Holds& family : kFamilies)
    if (family.architecture == spec.architecture) return family;
  return {.architecture = spec.architecture,
          .post_norms = is_gemma(spec),
          .qk_norms = is_qwen3(spec) || is_recurrent(spec) || spec.architecture == "gemma3" ||
                              is_gemma4(spec)
                          ? Holds::kOfHeads
                          : Holds::kNone,
          .fused_qkv = spec.architecture == "phi3",
          .window = is_gemma(spec) || is_gpt_oss(spec) ? 24 : 0,
          .layers = spec.architecture == "gemma3"   ? 7
                    : is_gemma4(spec)               ? 6
                    : spec.architecture == "gemma2" ? 3
                    : is_recurrent(spec)            ? 5  // of which the fourth attends
                                                    : 0,
          .tied = is_gemma(spec)};
}

// What a tensor's values are like.
enum class Role {
  kMatrix,      // normal, scaled by gain / sqrt(columns): keeps the size of what it multiplies
  kEmbedding,   // normal, scaled by gain
  kNorm,        // around gain
  kOutputNorm,  // around +-1. Random signs keep tied embeddings from just repeating the last token.
  kBias,        // normal, scaled by gain
  kGiven,       // `values`
};

struct PlannedTensor {
  std::string name;
  const Format* format;
  std::vector<uint64_t> shape;
  Role role;
  float gain = 1.0f;
  std::vector<float> values = {};

  uint64_t elements() const {
    uint64_t count = 1;
    for (const uint64_t axis : shape) count *= axis;
    return count;
  }

  std::vector<float> make_values(uint64_t seed, uint64_t count) const {
    if (role == Role::kGiven) return values;
    Random random(hash_text(name, seed));
    std::vector<float> made(count);
    const float scale =
        role == Role::kMatrix ? gain / std::sqrt(static_cast<float>(shape[0])) : gain;
    for (float& value : made) {
      value = scale * random.normal();
      if (role == Role::kNorm) value = scale + 0.2f * value;
      if (role == Role::kOutputNorm)
        value = (random.bits() % 2 == 0 ? 1.0f : -1.0f) * (scale + 0.2f * value);
    }
    return made;
  }

  std::vector<std::byte> make_bytes(uint64_t seed) const {
    const std::vector<float> made = make_values(seed, elements());
    const uint64_t columns = shape[0], rows = made.size() / columns;
    const uint64_t row_bytes = format->row_bytes(columns);
    std::vector<std::byte> bytes(rows * row_bytes);
    for (uint64_t row = 0; row < rows; ++row) {
      format->encode(std::span(made).subspan(row * columns, columns),
                     bytes.data() + row * row_bytes, {});
    }
    return bytes;
  }

  // As above from kPieces pieces of kPieceElements or one block, each used many times.
  std::vector<std::byte> make_repeated_bytes(uint64_t seed) const {
    constexpr uint64_t kPieces = 512, kPieceElements = 32;
    const uint64_t piece = std::max<uint64_t>(format->block_elements, kPieceElements);
    if (elements() <= piece * kPieces || elements() % piece != 0) return make_bytes(seed);
    const uint64_t piece_bytes = format->row_bytes(piece);
    std::vector<std::byte> pool(kPieces * piece_bytes), bytes(elements() / piece * piece_bytes);
    format->encode(make_values(seed, kPieces * piece), pool.data(), {});
    Random random(hash_text(name, seed + 1));
    for (uint64_t at = 0; at < bytes.size(); at += piece_bytes) {
      const uint64_t from = random.bits() % kPieces * piece_bytes;
      std::copy_n(pool.begin() + static_cast<int64_t>(from), piece_bytes,
                  bytes.begin() + static_cast<int64_t>(at));
    }
    return bytes;
  }
};

// ---- layers

int half_of_odd(bool uneven, int layer, int value) {
  return uneven && layer % 2 == 1 ? value / 2 : value;
}
int heads_of(const TinyModelSpec& spec, int layer) {
  return half_of_odd(spec.uneven_layers, layer, spec.heads);
}
int kv_heads_of(const TinyModelSpec& spec, int layer) {
  // What recurrent layers are like, Qwen's files say otherwise.
  if (!attends(spec, layer) && !is_recurrent(spec)) return 0;
  if (has_keys_as_values(spec, layer)) return spec.kv_heads / 2;
  return half_of_odd(spec.uneven_kv_heads, layer, spec.kv_heads);
}
int head_dim_of(const TinyModelSpec& spec, int layer) {
  if (is_unwindowed(spec, layer)) return 2 * spec.head_dim;
  return half_of_odd(spec.uneven_head_dims, layer, spec.head_dim);
}
int feed_forward_of(const TinyModelSpec& spec, int layer) {
  if (!feeds_forward(spec, layer)) return 0;
  if (shares_kv(spec, layer)) return 2 * spec.feed_forward;
  return half_of_odd(spec.uneven_layers, layer, spec.feed_forward);
}

int expert_width(const TinyModelSpec& spec) {
  return spec.architecture == "llama" ? spec.feed_forward : spec.feed_forward / 2;
}

// ---- tensors

class Plan {
 public:
  explicit Plan(const TinyModelSpec& spec) : spec_(spec), holds_(holds_of(spec)) {
    // Output logits get a standard deviation of about 2: the likeliest of 320 tokens has p ~ 0.1.
    const float logit_spread = 1.7f;
    const float tied_scale = logit_spread / std::sqrt(static_cast<float>(spec.embedding));
    tensors_.push_back({"token_embd.weight", &fitting_format(*spec.format, spec.embedding),
                        shape(spec.embedding, spec.vocabulary), Role::kEmbedding,
                        spec.tied ? tied_scale : 1.0f});
    if (holds_.positions) {
      tensors_.push_back({"position_embd.weight", &kF32, shape(spec.embedding, spec.context),
                          Role::kEmbedding, 0.5f});
    }
    if (holds_.embedding_norm) norm("token_embd_norm", spec.embedding, Role::kNorm, 1.0f);
    if (is_gemma4(spec) && spec.experts == 0) per_layer_inputs();
    for (int layer = 0; layer < spec.layers; ++layer) {
      prefix_ = fmt::format("blk.{}.", layer);
      heads_ = heads_of(spec, layer);
      has_keys_ = !shares_kv(spec, layer);
      has_values_ = has_keys_ && !has_keys_as_values(spec, layer);
      kv_heads_ = kv_heads_of(spec, layer);
      head_dim_ = head_dim_of(spec, layer);
      width_ = feed_forward_of(spec, layer);
      mix(layer);
      if (is_gemma4(spec)) {
        feed_forward();
        spec.experts > 0 ? experts_beside_dense() : per_layer_input();
        vector("layer_output_scale.weight", 1, Role::kNorm, 0.9f);
        continue;
      }
      if (!feeds_forward(spec, layer)) continue;
      spec.experts > 0 && !(is_like_deepseek(spec) && layer == 0) ? experts() : feed_forward();
    }
    for (int layer = spec.layers; layer < spec.layers + spec.next_token_layers; ++layer)
      next_token_layer(layer);
    prefix_.clear();
    norm(is_lfm2(spec) ? "token_embd_norm" : "output_norm", spec.embedding, Role::kOutputNorm,
         1.0f);
    if (!spec.tied) matrix("output.weight", spec.embedding, spec.vocabulary, logit_spread);
    rope_factors();
    if (!spec.says.empty()) say();
  }

  std::vector<PlannedTensor> take() { return std::move(tensors_); }

 private:
  static std::vector<uint64_t> shape(int columns, int rows) {
    return {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)};
  }
  void matrix(std::string_view name, int columns, int rows, float gain) {
    tensors_.push_back({prefix_ + std::string(name), &fitting_format(*spec_.format, columns),
                        shape(columns, rows), Role::kMatrix, gain});
  }
  void vector(std::string_view name, int length, Role role, float gain) {
    tensors_.push_back(
        {prefix_ + std::string(name), &kF32, {static_cast<uint64_t>(length)}, role, gain});
  }
  void norm(std::string_view stem, int length, Role role, float gain) {
    vector(std::string(stem) + ".weight", length, role, gain);
    if (holds_.layer_norms && holds_.biases) bias(stem, length);
  }
  void bias(std::string_view stem, int length) {
    vector(std::string(stem) + ".bias", length, Role::kBias, 0.3f);
  }
  void given(std::string_view name, std::vector<float> values) {
    tensors_.push_back({prefix_ + std::string(name),
                        &kF32,
                        {values.size()},
                        Role::kGiven,
                        1.0f,
                        std::move(values)});
  }

  void attention() {
    const int q_length = heads_ * head_dim_;
    const int kv_length = kv_heads_ * head_dim_;
    if (holds_.pre_norms) norm("attn_norm", spec_.embedding, Role::kNorm, 1.0f);
    // Gains above 1 make attention choose: with scores of variance 1 it would nearly average.
    if (holds_.fused_qkv) {
      matrix("attn_qkv.weight", spec_.embedding, q_length + 2 * kv_length, 1.2f);
      if (holds_.biases) bias("attn_qkv", q_length + 2 * kv_length);
    } else {
      matrix("attn_q.weight", spec_.embedding, is_recurrent(spec_) ? 2 * q_length : q_length, 1.2f);
      if (has_keys_) matrix("attn_k.weight", spec_.embedding, kv_length, 1.2f);
      if (has_values_) matrix("attn_v.weight", spec_.embedding, kv_length, 1.0f);
    }
    if (spec_.architecture == "qwen2" || spec_.architecture == "qwen2moe" || is_gpt_oss(spec_) ||
        (holds_.biases && !holds_.fused_qkv)) {
      vector("attn_q.bias", q_length, Role::kBias, 0.5f);
      vector("attn_k.bias", kv_length, Role::kBias, 0.5f);
      vector("attn_v.bias", kv_length, Role::kBias, 0.5f);
    }
    if (holds_.qk_norms != Holds::kNone) {
      const bool rows = holds_.qk_norms == Holds::kOfRows;
      // Scores that nothing divides are larger.
      const float gain = is_gemma4(spec_) ? 0.5f : 1.2f;
      vector("attn_q_norm.weight", rows ? q_length : head_dim_, Role::kNorm, gain);
      if (has_keys_) vector("attn_k_norm.weight", rows ? kv_length : head_dim_, Role::kNorm, gain);
    }
    matrix("attn_output.weight", q_length, spec_.embedding, 1.0f);
    if (is_gpt_oss(spec_)) vector("attn_sinks.weight", heads_, Role::kBias, 1.0f);
    if (holds_.biases || is_gpt_oss(spec_)) bias("attn_output", spec_.embedding);
    if (spec_.attention_output_bias) vector("attn_output.bias", spec_.embedding, Role::kBias, 0.5f);
    // Gemma's embeddings enter at sqrt(embedding) times their size: the layers must keep up to
    // matter.
    if (holds_.post_norms) vector("post_attention_norm.weight", spec_.embedding, Role::kNorm, 0.9f);
  }

  void latent_attention() {
    vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
    matrix("attn_q_a.weight", spec_.embedding, kQueryLatent, 1.0f);
    vector("attn_q_a_norm.weight", kQueryLatent, Role::kNorm, 1.0f);
    matrix("attn_q_b.weight", kQueryLatent, heads_ * kKey, 1.2f);
    matrix("attn_kv_a_mqa.weight", spec_.embedding, kLatent + kRotated, 1.2f);
    vector("attn_kv_a_norm.weight", kLatent, Role::kNorm, 1.0f);
    matrix("attn_k_b.weight", kKey - kRotated, kLatent, 1.0f);
    tensors_.back().shape.push_back(static_cast<uint64_t>(heads_));
    matrix("attn_v_b.weight", kLatent, kValue, 1.0f);
    tensors_.back().shape.push_back(static_cast<uint64_t>(heads_));
    matrix("attn_output.weight", heads_ * kValue, spec_.embedding, 1.0f);
  }

  // As the last of the others that attends, with its heads.
  void next_token_layer(int layer) {
    prefix_ = fmt::format("blk.{}.", layer);
    attention();
    spec_.experts > 0 ? experts() : feed_forward();
    matrix("nextn.eh_proj.weight", 2 * spec_.embedding, spec_.embedding, 1.0f);
    for (const char* name : {"enorm", "hnorm", "shared_head_norm"})
      vector(fmt::format("nextn.{}.weight", name), spec_.embedding, Role::kNorm, 1.0f);
  }

  void mix(int layer) {
    if (attends(spec_, layer)) return is_deepseek(spec_) ? latent_attention() : attention();
    if (is_recurrent(spec_)) return gated_delta_net();
    if (is_lfm2(spec_)) return short_convolution();
    if (spec_.architecture != "nemotron_h" || !feeds_forward(spec_, layer)) state_space();
  }

  void short_convolution() {
    vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
    matrix("shortconv.in_proj.weight", spec_.embedding, 3 * spec_.embedding, 1.2f);
    tensors_.push_back({prefix_ + "shortconv.conv.weight", &kF32, shape(kTaps, spec_.embedding),
                        Role::kMatrix, 2.0f});
    matrix("shortconv.out_proj.weight", spec_.embedding, spec_.embedding, 1.0f);
  }

  void state_space() {
    const int heads = spec_.state_heads, values = heads * spec_.state_dim;
    const int channels = 2 * spec_.state_key_heads * spec_.state_dim + values;
    vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
    matrix("ssm_in.weight", spec_.embedding, values + channels + heads, 1.2f);
    tensors_.push_back(
        {prefix_ + "ssm_conv1d.weight", &kF32, shape(kTaps, channels), Role::kMatrix, 1.5f});
    vector("ssm_conv1d.bias", channels, Role::kBias, 0.2f);
    for (const char* name : {"ssm_a", "ssm_d"}) {  // columns, as other files have them
      given(name, by_state_head(spec_, name[4] == 'a' ? std::vector{-0.02f, -0.1f, -0.4f, -1.0f}
                                                      : std::vector{1.0f, 0.5f, -0.5f, 0.1f}));
      tensors_.back().shape = shape(1, heads);
    }
    vector("ssm_dt.bias", heads, Role::kBias, 0.5f);
    vector("ssm_norm.weight", values / spec_.state_key_heads, Role::kNorm, 1.0f);
    tensors_.back().shape.push_back(static_cast<uint64_t>(spec_.state_key_heads));
    matrix("ssm_out.weight", values, spec_.embedding, 1.0f);
  }

  void gated_delta_net() {
    const int heads = spec_.state_heads, values = heads * spec_.state_dim;
    const int channels = 2 * spec_.state_key_heads * spec_.state_dim + values;
    vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
    matrix("attn_qkv.weight", spec_.embedding, channels, 1.2f);
    matrix("attn_gate.weight", spec_.embedding, values, 1.2f);
    tensors_.push_back(
        {prefix_ + "ssm_conv1d.weight", &kF32, shape(kTaps, channels), Role::kMatrix, 2.0f});
    given("ssm_a", by_state_head(spec_, {-0.02f, -0.1f, -0.4f, -1.0f}));
    vector("ssm_dt.bias", heads, Role::kBias, 0.5f);
    if (spec_.architecture == "qwen3next") {
      matrix("ssm_ba.weight", spec_.embedding, 2 * heads, 1.0f);
    } else {
      matrix("ssm_alpha.weight", spec_.embedding, heads, 1.0f);
      matrix("ssm_beta.weight", spec_.embedding, heads, 1.0f);
    }
    vector("ssm_norm.weight", spec_.state_dim, Role::kNorm, 1.0f);
    matrix("ssm_out.weight", values, spec_.embedding, 1.0f);
  }

  const char* feed_forward_norm() const {
    return is_gpt_oss(spec_) || is_recurrent(spec_) || spec_.architecture == "glm4moe"
               ? "post_attention_norm"
               : "ffn_norm";
  }
  void feed_forward() {
    if (holds_.pre_norms && holds_.feed_forward_norm)
      norm(spec_.architecture == "nemotron_h" ? "attn_norm" : feed_forward_norm(), spec_.embedding,
           Role::kNorm, 1.0f);
    if (spec_.architecture == "phi3") {
      matrix("ffn_up.weight", spec_.embedding, 2 * width_, 1.2f);
    } else {
      if (holds_.gate) matrix("ffn_gate.weight", spec_.embedding, width_, 1.2f);
      matrix("ffn_up.weight", spec_.embedding, width_, 1.2f);
      if (holds_.biases) bias("ffn_up", width_);
    }
    matrix("ffn_down.weight", width_, spec_.embedding, 1.0f);
    if (holds_.biases) bias("ffn_down", spec_.embedding);
    if (holds_.post_norms) vector("post_ffw_norm.weight", spec_.embedding, Role::kNorm, 0.9f);
  }

  void experts() {
    const int width = expert_width(spec_), shared = is_like_deepseek(spec_) ? width : width_;
    norm(feed_forward_norm(), spec_.embedding, Role::kNorm, 1.0f);
    // In F32, as in real files; scores apart enough for some experts to count much more than
    // others.
    tensors_.push_back({prefix_ + "ffn_gate_inp.weight", &kF32,
                        shape(spec_.embedding, spec_.experts), Role::kMatrix, 2.0f});
    of_all_experts("ffn_gate_exps.weight", spec_.embedding, width, 1.2f);
    of_all_experts("ffn_up_exps.weight", spec_.embedding, width, 1.2f);
    of_all_experts("ffn_down_exps.weight", width, spec_.embedding, 1.0f);
    if (is_gpt_oss(spec_)) {
      vector("ffn_gate_inp.bias", spec_.experts, Role::kBias, 0.5f);
      for (const char* name : {"ffn_gate_exps.bias", "ffn_up_exps.bias", "ffn_down_exps.bias"}) {
        vector(name, name[4] == 'd' ? spec_.embedding : width, Role::kBias, 0.5f);
        tensors_.back().shape.push_back(static_cast<uint64_t>(spec_.experts));
      }
    }
    if (is_like_deepseek(spec_) || spec_.architecture == "minimax-m2")
      vector("exp_probs_b.bias", spec_.experts, Role::kBias, 0.2f);
    const bool gated = spec_.architecture == "qwen2moe" || is_recurrent(spec_);
    if (!gated && !is_like_deepseek(spec_)) return;
    if (gated) vector("ffn_gate_inp_shexp.weight", spec_.embedding, Role::kBias, 0.1f);
    matrix("ffn_gate_shexp.weight", spec_.embedding, shared, 1.2f);
    matrix("ffn_up_shexp.weight", spec_.embedding, shared, 1.2f);
    matrix("ffn_down_shexp.weight", shared, spec_.embedding, 1.0f);
  }
  // What feed_forward() has no tensors for.
  void experts_beside_dense() {
    const int width = expert_width(spec_), embedding = spec_.embedding;
    tensors_.push_back({prefix_ + "ffn_gate_inp.weight", &kF32, shape(embedding, spec_.experts),
                        Role::kMatrix, 2.0f});
    // The router's scores are divided by sqrt(embedding), which this makes up for.
    vector("ffn_gate_inp.scale", embedding, Role::kNorm, std::sqrt(static_cast<float>(embedding)));
    of_all_experts("ffn_gate_up_exps.weight", embedding, 2 * width, 1.2f);
    of_all_experts("ffn_down_exps.weight", width, embedding, 1.0f);
    vector("ffn_down_exps.scale", spec_.experts, Role::kNorm, 1.0f);
    for (const char* name : {"pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"})
      norm(name, embedding, Role::kNorm, 1.0f);
  }

  void per_layer_inputs() {
    const int columns = spec_.layers * kPerLayerInput;
    tensors_.push_back({"per_layer_token_embd.weight", &fitting_format(*spec_.format, columns),
                        shape(columns, spec_.vocabulary), Role::kEmbedding,
                        1 / std::sqrt(static_cast<float>(kPerLayerInput))});
    tensors_.push_back({"per_layer_model_proj.weight", &kF32, shape(spec_.embedding, columns),
                        Role::kMatrix, 1.0f});
    norm("per_layer_proj_norm", kPerLayerInput, Role::kNorm, 1.0f);
  }
  void per_layer_input() {
    matrix("inp_gate.weight", spec_.embedding, kPerLayerInput, 1.2f);
    matrix("proj.weight", kPerLayerInput, spec_.embedding, 1.0f);
    norm("post_norm", spec_.embedding, Role::kNorm, 0.5f);
  }
  void of_all_experts(std::string_view name, int columns, int rows, float gain) {
    matrix(name, columns, rows, gain);
    tensors_.back().shape.push_back(static_cast<uint64_t>(spec_.experts));
  }

  void rope_factors() {
    const int pairs = spec_.rope_dimensions / 2;
    std::vector<float> factors, short_factors;
    if (is_gemma4(spec_)) {  // of heads twice as long, whose first quarter is rotated
      factors.assign(static_cast<size_t>(spec_.head_dim), 1e30f);
      std::fill_n(factors.begin(), factors.size() / 4, 1.0f);
      given("rope_freqs.weight", factors);
    }
    if (spec_.rope_scaling == "llama3") {
      for (int i = 0; i < pairs; ++i) factors.push_back(llama3_factor(i));
      given("rope_freqs.weight", factors);
    } else if (spec_.rope_scaling == "longrope") {
      for (int i = 0; i < pairs; ++i) {
        const float depth = static_cast<float>(i) / static_cast<float>(pairs);
        factors.push_back(1.0f + 5.0f * depth);
        short_factors.push_back(1.0f + 0.3f * depth);
      }
      given("rope_factors_long.weight", factors);
      given("rope_factors_short.weight", short_factors);
    }
  }

  // Each token of the text has a direction of its own, which nothing changes on the way to the
  // output's row of the token behind it.
  void say() {
    const auto columns = static_cast<size_t>(spec_.embedding);
    const size_t length = spec_.says.size();
    std::vector<float> embeddings(columns * static_cast<size_t>(spec_.vocabulary)), output;
    output = embeddings;
    for (size_t at = 0; at < embeddings.size(); at += columns) embeddings[at] = 1;
    for (size_t i = 0; i < length; ++i) {
      const auto row = columns * static_cast<size_t>(spec_.says[i]);
      embeddings[row] = 0;
      embeddings[row + i] = 1;
      output[columns * static_cast<size_t>(spec_.says[(i + 1) % length]) + i] = 4;
    }
    for (PlannedTensor& tensor : tensors_) {
      const auto give = [&](std::vector<float> values) {
        tensor.role = Role::kGiven;
        tensor.values = std::move(values);
      };
      if (tensor.name == "token_embd.weight") give(embeddings);
      if (tensor.name == "output.weight") give(output);
      if (tensor.name == "output_norm.weight") give(std::vector<float>(columns, 1));
      if (tensor.name.ends_with("attn_output.weight") || tensor.name.ends_with("ffn_down.weight"))
        tensor.gain = 0;
    }
  }

  // The rule of Llama 3.1 (its config.json: rope_type "llama3"), which GGUF converters turn into a
  // tensor.
  float llama3_factor(int pair) const {
    const double factor = 8, low = 1, high = 4, original = spec_.context / factor;
    const double frequency = std::pow(10000.0, -2.0 * pair / spec_.rope_dimensions);
    const double turns = original * frequency / (2 * std::numbers::pi);  // in the original context
    if (turns > high) return 1.0f;
    if (turns < low) return static_cast<float>(factor);
    const double smooth = (turns - low) / (high - low);
    return static_cast<float>(1 / ((1 - smooth) / factor + smooth));
  }

  const TinyModelSpec& spec_;
  const Holds holds_;
  std::string prefix_;                                       // "blk.N." inside a layer
  int heads_ = 0, kv_heads_ = 0, head_dim_ = 0, width_ = 0;  // of the layer
  bool has_keys_ = true, has_values_ = true;
  std::vector<PlannedTensor> tensors_;
};

// ---- metadata

// general.file_type: what a file mostly holds, in the numbers of llama.h (llama_ftype). Some
// readers insist on it.
std::optional<uint32_t> file_type(const Format* format) {
  static const std::pair<const Format*, uint32_t> kTypes[] = {
      {&kF32, 0},  {&kF16, 1},   {&kQ4_0, 2},  {&kQ4_1, 3},  {&kQ8_0, 7},  {&kQ5_0, 8},
      {&kQ5_1, 9}, {&kQ2_K, 10}, {&kQ3_K, 12}, {&kQ4_K, 15}, {&kQ5_K, 17}, {&kQ6_K, 18}};
  for (const auto& [known, number] : kTypes)
    if (known == format) return number;
  return std::nullopt;
}

GgufMetadata make_metadata(const TinyModelSpec& spec) {
  GgufMetadata metadata;
  const auto set = [&](std::string_view name, auto value) {
    metadata.set(fmt::format("{}.{}", spec.architecture, name), GgufValue{value});
  };
  const auto number = [](int value) { return static_cast<uint32_t>(value); };
  metadata.set("general.architecture", GgufValue{spec.architecture});
  metadata.set("general.name",
               GgufValue{std::string("tiny")});  // llama.cpp treats a name with "phi3" specially
  if (const auto type = file_type(spec.format)) metadata.set("general.file_type", GgufValue{*type});
  set("context_length", number(spec.context));
  set("embedding_length", number(spec.embedding));
  set("block_count", number(spec.layers + spec.next_token_layers));
  if (spec.next_token_layers > 0) set("nextn_predict_layers", number(spec.next_token_layers));
  const auto by_layer = [&](std::string_view name, bool uneven, auto of) {
    if (!uneven) return set(name, number(of(spec, 0)));
    std::vector<uint32_t> values;
    for (int layer = 0; layer < spec.layers; ++layer) values.push_back(number(of(spec, layer)));
    set(name, GgufValue::Array{values});
  };
  by_layer("feed_forward_length", spec.uneven_layers || is_gemma4(spec) || !feeds_forward(spec, 0),
           feed_forward_of);
  if (spec.experts > 0) {
    set("expert_count", number(spec.experts));
    set("expert_used_count", number(spec.experts_used));
    if (spec.architecture != "llama")  // where it is the feed-forward length
      set("expert_feed_forward_length", number(expert_width(spec)));
    if (is_like_deepseek(spec)) {
      set("leading_dense_block_count", uint32_t{1});
      set("expert_shared_count", uint32_t{1});
      set("expert_gating_func", uint32_t{2});
      set("expert_weights_norm", true);
      set("expert_weights_scale", 1.5f);
    }
    if (spec.architecture == "qwen2moe" || is_recurrent(spec))
      set("expert_shared_feed_forward_length", number(spec.feed_forward));
  }
  by_layer("attention.head_count", spec.uneven_layers, heads_of);
  const bool some_attend = !attends(spec, 0) && !is_recurrent(spec);
  by_layer("attention.head_count_kv", spec.uneven_kv_heads || some_attend || is_gemma4(spec),
           kv_heads_of);
  const Holds holds = holds_of(spec);
  set(holds.layer_norms ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
      1e-6f);
  if (spec.head_dim * spec.heads != spec.embedding || is_gemma(spec) || is_qwen3(spec) ||
      is_recurrent(spec) || is_gpt_oss(spec) || spec.uneven_head_dims) {
    by_layer("attention.key_length", spec.uneven_head_dims, head_dim_of);
    by_layer("attention.value_length", spec.uneven_head_dims, head_dim_of);
  }
  if (is_deepseek(spec)) {
    set("vocab_size", number(spec.vocabulary));
    set("attention.q_lora_rank", number(kQueryLatent));
    set("attention.kv_lora_rank", number(kLatent));
    set("attention.key_length", number(kLatent + kRotated));
    set("attention.value_length", number(kLatent));
    set("attention.key_length_mla", number(kKey));
    set("attention.value_length_mla", number(kValue));
  }
  if (is_lfm2(spec)) set("shortconv.l_cache", number(kTaps));
  if (is_recurrent(spec) || is_state_space(spec)) {
    set("ssm.conv_kernel", number(kTaps));
    set("ssm.state_size", number(spec.state_dim));
    set("ssm.group_count", number(spec.state_key_heads));
    set("ssm.time_step_rank", number(spec.state_heads));
    set("ssm.inner_size", number(spec.state_heads * spec.state_dim));
  }
  if (is_recurrent(spec)) {
    const int pairs = spec.rope_dimensions / 2;
    set("rope.dimension_sections",
        GgufValue::Array{std::vector<int32_t>{pairs - 2 * (pairs / 3), pairs / 3, pairs / 3, 0}});
  }
  if (spec.window > 0) set("attention.sliding_window", number(spec.window));
  if (spec.architecture == "granite" || spec.architecture == "granitehybrid") {
    set("embedding_scale", 1.5f);
    set("residual_scale", 0.7f);
    set("logit_scale", 1.25f);
    set("attention.scale", 0.3f);
  }
  if (spec.architecture == "cohere2") set("logit_scale", 0.8f);
  if (spec.architecture == "gptneox") set("use_parallel_residual", true);
  if (spec.architecture == "mpt") set("attention.max_alibi_bias", 6.0f);
  if (spec.architecture == "mistral3") {
    set("attention.temperature_scale", 0.4f);
    set("rope.scaling.yarn_log_multiplier", 0.5f);
  }
  if (spec.architecture == "gemma2") set("attn_logit_softcapping", 50.0f);
  if (spec.architecture == "gemma2" || is_gemma4(spec)) set("final_logit_softcapping", 30.0f);
  if (is_gemma4(spec)) {
    std::vector<bool> windowed;
    for (int layer = 0; layer < spec.layers; ++layer)
      windowed.push_back(!is_unwindowed(spec, layer));
    set("attention.sliding_window_pattern", GgufValue::Array(windowed));
    for (const char* length : {"attention.key_length", "attention.value_length"}) {
      set(length, number(2 * spec.head_dim));
      set(std::string(length) + "_swa", number(spec.head_dim));
    }
    set("attention.shared_kv_layers", number(spec.experts > 0 ? 0 : kGemma4Shared));
    set("embedding_length_per_layer_input", number(spec.experts > 0 ? 0 : kPerLayerInput));
    set("rope.dimension_count_swa", number(spec.rope_dimensions));
    set("rope.freq_base_swa", 10000.0f);
  }

  if (!spec.uneven_head_dims)
    set("rope.dimension_count", number(spec.rope_dimensions * (is_gemma4(spec) ? 2 : 1)));
  set("rope.freq_base", spec.architecture == "gemma3" || is_gemma4(spec) ? 100000.0f : 10000.0f);
  if (spec.rope_scaling == "linear" || spec.rope_scaling == "yarn") {
    set("rope.scaling.type", spec.rope_scaling);
    set("rope.scaling.factor", 4.0f);
    set("rope.scaling.original_context_length", number(spec.context / 4));
  } else if (spec.rope_scaling == "longrope") {
    const double original = spec.context / 4.0;
    set("rope.scaling.original_context_length", number(spec.context / 4));
    set("rope.scaling.attn_factor",
        static_cast<float>(std::sqrt(1 + std::log(4.0) / std::log(original))));
  } else if (!spec.rope_scaling.empty() && spec.rope_scaling != "llama3") {
    fail("no such RoPE scaling: '{}'", spec.rope_scaling);
  }
  add_tiny_tokenizer(metadata, spec.vocabulary, spec.chat_template, spec.merges);
  return metadata;
}

}  // namespace

TinyModelSpec with_defaults(TinyModelSpec spec) {
  const bool wide = spec.format->block_elements > 32;
  const auto choose = [](int& field, int value) {
    if (field == 0) field = value;
  };
  // Where a family lets heads * head_dim differ from the embedding length, it does.
  const bool free_head_dim = is_qwen3(spec) || is_gemma(spec) || is_gpt_oss(spec);
  const Holds holds = holds_of(spec);
  choose(spec.layers, holds.layers > 0 ? holds.layers : 2);
  choose(spec.embedding, wide ? 256 : 64);
  choose(spec.feed_forward, wide ? 512 : 160);
  choose(spec.heads, wide ? 8 : 4);
  if (is_deepseek(spec)) {
    spec.kv_heads = 1;
    spec.rope_dimensions = kRotated;
  }
  // Those before grouped-query attention have a key for each query.
  choose(spec.kv_heads, holds.fused_qkv && holds.layer_norms ? spec.heads : 2);
  choose(spec.head_dim, spec.embedding / spec.heads * (free_head_dim ? 2 : 1));
  choose(spec.rope_dimensions, is_recurrent(spec) ? spec.head_dim / 2 : spec.head_dim);
  if (spec.architecture == "qwen2moe" || spec.architecture == "qwen3moe" ||
      spec.architecture == "olmoe" || spec.architecture == "minimax-m2" || is_gpt_oss(spec) ||
      is_like_deepseek(spec) || (is_recurrent(spec) && spec.architecture != "qwen35"))
    choose(spec.experts, 6);
  if (spec.experts > 0) choose(spec.experts_used, 2);
  choose(spec.state_heads, 4);
  choose(spec.state_key_heads, 2);
  choose(spec.state_dim, 32);
  choose(spec.vocabulary, 320);
  choose(spec.context, 256);
  choose(spec.window, holds.window > 0 ? holds.window : -1);
  if (holds.tied) spec.tied = true;
  return spec;
}

const Format& fitting_format(const Format& format, int columns) {
  static const std::pair<const Format*, const Format*> kFallbacks[] = {
      {&kQ2_K, &kQ4_0}, {&kQ3_K, &kQ4_0},     {&kQ4_K, &kQ5_0},
      {&kQ5_K, &kQ5_1}, {&kIQ4_XS, &kIQ4_NL}, {&kQ6_K, &kQ8_0}};
  if (static_cast<uint32_t>(columns) % format.block_elements == 0) return format;
  for (const auto& [wide, narrow] : kFallbacks)
    if (wide == &format) return fitting_format(*narrow, columns);
  return kF16;
}

void write_tiny_model_file(const TinyModelSpec& given, const std::filesystem::path& path) {
  const TinyModelSpec spec = with_defaults(given);
  const std::vector<PlannedTensor> tensors = Plan(spec).take();
  GgufWriter writer(make_metadata(spec));
  for (const PlannedTensor& tensor : tensors)
    writer.declare(tensor.name, *tensor.format, tensor.shape);
  writer.write(path, [&](size_t index) {
    return spec.repeat_blocks ? tensors[index].make_repeated_bytes(spec.seed)
                              : tensors[index].make_bytes(spec.seed);
  });
}

std::filesystem::path write_tiny_model(const TinyModelSpec& given,
                                       const std::filesystem::path& folder) {
  const TinyModelSpec spec = with_defaults(given);
  const std::string dimensions =
      fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
                  spec.experts, spec.experts_used, spec.state_heads, spec.state_key_heads,
                  spec.state_dim, spec.next_token_layers, spec.layers, spec.embedding, spec.heads,
                  spec.kv_heads, spec.head_dim, spec.rope_dimensions, spec.feed_forward,
                  spec.vocabulary, spec.context, spec.window, spec.tied, spec.attention_output_bias,
                  spec.uneven_layers, spec.uneven_kv_heads, spec.uneven_head_dims,
                  spec.repeat_blocks, spec.chat_template, spec.merges, fmt::join(spec.says, ","));
  const auto path =
      folder / fmt::format("{}-{}-{}{}-{:08x}.gguf", spec.architecture, spec.format->name,
                           spec.seed, spec.rope_scaling, hash_text(dimensions) >> 32);
  write_tiny_model_file(spec, path);
  return path;
}

}  // namespace tessera
