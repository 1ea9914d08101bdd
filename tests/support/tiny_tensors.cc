#include "support/tiny_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "support/tiny_families.h"

namespace tessera::tiny {

uint64_t hash_text(std::string_view text, uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

namespace {

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

}  // namespace

std::vector<float> PlannedTensor::make_values(uint64_t seed, uint64_t count) const {
  if (role == Role::kGiven) return values;
  Random random(hash_text(name, seed));
  std::vector<float> made(count);
  const float scale = role == Role::kMatrix ? gain / std::sqrt(static_cast<float>(shape[0])) : gain;
  for (float& value : made) {
    value = scale * random.normal();
    if (role == Role::kNorm) value = scale + 0.2f * value;
    if (role == Role::kOutputNorm)
      value = (random.bits() % 2 == 0 ? 1.0f : -1.0f) * (scale + 0.2f * value);
  }
  return made;
}

std::vector<std::byte> PlannedTensor::make_bytes(uint64_t seed) const {
  const std::vector<float> made = make_values(seed, elements());
  const uint64_t columns = shape[0], rows = made.size() / columns;
  const uint64_t row_bytes = format->row_bytes(columns);
  std::vector<std::byte> bytes(rows * row_bytes);
  for (uint64_t row = 0; row < rows; ++row) {
    format->encode(std::span(made).subspan(row * columns, columns), bytes.data() + row * row_bytes,
                   {});
  }
  return bytes;
}

// As above from kPieces pieces of kPieceElements or one block, each used many times.
std::vector<std::byte> PlannedTensor::make_repeated_bytes(uint64_t seed) const {
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

namespace {

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
      is_mixture(spec, layer) ? experts() : feed_forward();
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
    const LatentLengths& n = spec_.latent;
    vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
    matrix("attn_q_a.weight", spec_.embedding, n.query, 1.0f);
    vector("attn_q_a_norm.weight", n.query, Role::kNorm, 1.0f);
    matrix("attn_q_b.weight", n.query, heads_ * n.key, 1.2f);
    matrix("attn_kv_a_mqa.weight", spec_.embedding, n.key_value + n.rotated, 1.2f);
    vector("attn_kv_a_norm.weight", n.key_value, Role::kNorm, 1.0f);
    matrix("attn_k_b.weight", n.key - n.rotated, n.key_value, 1.0f);
    tensors_.back().shape.push_back(static_cast<uint64_t>(heads_));
    matrix("attn_v_b.weight", n.key_value, n.value, 1.0f);
    tensors_.back().shape.push_back(static_cast<uint64_t>(heads_));
    matrix("attn_output.weight", heads_ * n.value, spec_.embedding, 1.0f);
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
    if (is_falcon_h1(spec_)) {
      attention();
      return state_space();
    }
    if (attends(spec_, layer)) return is_deepseek(spec_) ? latent_attention() : attention();
    if (is_recurrent(spec_)) return gated_delta_net();
    if (is_lfm2(spec_)) return short_convolution();
    if (!is_nemotron(spec_) || !feeds_forward(spec_, layer)) state_space();
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
    if (!is_falcon_h1(spec_)) vector("attn_norm.weight", spec_.embedding, Role::kNorm, 1.0f);
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
    if (!is_falcon_h1(spec_)) {
      vector("ssm_norm.weight", values / spec_.state_key_heads, Role::kNorm, 1.0f);
      tensors_.back().shape.push_back(static_cast<uint64_t>(spec_.state_key_heads));
    }
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
    if (is_nemotron(spec_)) return "attn_norm";
    return is_gpt_oss(spec_) || is_recurrent(spec_) || spec_.architecture == "glm4moe"
               ? "post_attention_norm"
               : "ffn_norm";
  }
  void feed_forward() {
    if (holds_.pre_norms && holds_.feed_forward_norm)
      norm(feed_forward_norm(), spec_.embedding, Role::kNorm, 1.0f);
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
    const int width = expert_width(spec_),
              shared = is_like_deepseek(spec_) || is_llama4(spec_) ? width : width_;
    norm(feed_forward_norm(), spec_.embedding, Role::kNorm, 1.0f);
    // In F32, as in real files; scores apart enough for some experts to count much more than
    // others.
    tensors_.push_back({prefix_ + "ffn_gate_inp.weight", &kF32,
                        shape(spec_.embedding, spec_.experts), Role::kMatrix, 2.0f});
    const int read = is_nemotron(spec_) ? kExpertLatent : spec_.embedding;
    if (holds_.gate) of_all_experts("ffn_gate_exps.weight", read, width, 1.2f);
    of_all_experts("ffn_up_exps.weight", read, width, 1.2f);
    of_all_experts("ffn_down_exps.weight", width, read, 1.0f);
    if (is_nemotron(spec_)) {
      matrix("ffn_latent_down.weight", spec_.embedding, read, 1.0f);
      matrix("ffn_latent_up.weight", read, spec_.embedding, 1.0f);
    }
    if (is_gpt_oss(spec_)) {
      vector("ffn_gate_inp.bias", spec_.experts, Role::kBias, 0.5f);
      for (const char* name : {"ffn_gate_exps.bias", "ffn_up_exps.bias", "ffn_down_exps.bias"}) {
        vector(name, name[4] == 'd' ? spec_.embedding : width, Role::kBias, 0.5f);
        tensors_.back().shape.push_back(static_cast<uint64_t>(spec_.experts));
      }
    }
    if (has_dense_layer(spec_) || is_nemotron(spec_) || spec_.architecture == "minimax-m2")
      vector("exp_probs_b.bias", spec_.experts, Role::kBias, 0.2f);
    const bool gated = spec_.architecture == "qwen2moe" || is_recurrent(spec_);
    if (!gated && !is_like_deepseek(spec_) && !is_nemotron(spec_) && !is_llama4(spec_)) return;
    if (gated) vector("ffn_gate_inp_shexp.weight", spec_.embedding, Role::kBias, 0.1f);
    if (holds_.gate) matrix("ffn_gate_shexp.weight", spec_.embedding, shared, 1.2f);
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

}  // namespace

std::vector<PlannedTensor> plan_tensors(const TinyModelSpec& spec) {
  return Plan(spec).take();
}

}  // namespace tessera::tiny
