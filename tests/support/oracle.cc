// Sources: Vaswani et al. 2017 (attention), Zhang & Sennrich 2019 (RMSNorm), Ba et al. 2016
// (LayerNorm), Press et al. 2022 (ALiBi), Shazeer 2020 (gated feed-forward), Su et al. 2021 (RoPE),
// Chen et al. 2023 (linear scaling), Peng et al. 2023 (YaRN), Ding et al. 2024 (LongRoPE), the
// technical reports of each family, and the GGUF specification.
//
// Checked against llama.cpp with F32 weights, keys and values, on SmolLM2 135M, Gemma 3 270M,
// Qwen2.5 0.5B and tiny models of every family and RoPE scaling: KL below 1e-10 nats at every
// position, and below 1e-5 for Gemma, whose GELU llama.cpp reads from a table of f16. It differs by
// intent in one thing: llama.cpp leaves out the sliding window of phi3 (and knows none for llama);
// the oracle applies whatever window the file names.
#include "support/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>

namespace tessera {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;  // one a position

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double silu(double x) {
  return x / (1 + std::exp(-x));
}

double clamped_silu(double gate, double up) {  // of gpt-oss
  const double g = std::min(gate, 7.0);
  return g / (1 + std::exp(-1.702 * g)) * (std::clamp(up, -7.0, 7.0) + 1);
}

double gelu(double x) {  // the tanh approximation, which Gemma was trained with
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

double gelu_erf(double x) {  // Hendrycks & Gimpel 2016
  return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

double soft_cap(double x, double cap) {
  return cap > 0 ? cap * std::tanh(x / cap) : x;
}

void scale(Rows& rows, double factor) {
  for (Vector& row : rows)
    for (double& value : row) value *= factor;
}

void add(Rows& into, const Rows& rows) {
  for (size_t t = 0; t < into.size(); ++t) {
    std::transform(into[t].begin(), into[t].end(), rows[t].begin(), into[t].begin(), std::plus<>());
  }
}

class Oracle {
 public:
  Oracle(const GgufFile& file, int context)
      : file_(file), architecture_(file.metadata().require_string("general.architecture")) {
    const int training_context = integer("context_length");
    context_ = context > 0 ? context : training_context;
    original_context_ = integer("rope.scaling.original_context_length", training_context);
    layers_ = integer("block_count");
    embedding_ = integer("embedding_length");
    query_heads_ = integers("attention.head_count");
    kv_heads_ = integers("attention.head_count_kv", query_heads_[0]);
    head_dims_ = integers("attention.key_length", embedding_ / query_heads_[0]);
    layer_norms_ =
        is_any_of({"gpt2", "opt", "gptneox", "phi2", "stablelm", "cohere2", "bloom", "mpt"});
    epsilon_ = real(
        layer_norms_ ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5);
    window_ = integer("attention.sliding_window", 0);
    attention_cap_ = real("attn_logit_softcapping", 0);
    gpt_oss_ = architecture_ == "gpt-oss";
    gemma4_ = architecture_ == "gemma4";
    gemma_ = architecture_ == "gemma2" || architecture_ == "gemma3" || gemma4_;
    if (!gemma4_) return;
    windowed_ = *file.metadata().get_bools(key("attention.sliding_window_pattern"));
    for (size_t i = 0; i < windowed_.size(); ++i)
      if (windowed_[i]) head_dims_[i] = integer("attention.key_length_swa");
  }

  Rows logits(std::span<const Token> tokens) const {
    Rows x = embed(tokens);
    const std::vector<Rows> beside = per_layer_inputs(tokens, x);
    std::vector<KeysAndValues> kept;
    for (int layer = 0; layer < layers_; ++layer) {
      const std::string prefix = fmt::format("blk.{}.", layer);
      // Some families normalize what is added rather than what is read, or both.
      const Rows read = normalize_if_there(x, prefix + "attn_norm.weight");
      Rows y = attention(layer, prefix, read, kept);
      if (!gpt_oss_) y = normalize_if_there(y, prefix + "post_attention_norm.weight");
      scale(y, real("residual_scale", 1));
      // GPT-J's residual: the feed-forward does not wait for attention, and may share its norm.
      const bool parallel = is_any_of({"gptneox", "phi2", "cohere2"});
      const std::string own_norm =
          prefix + (gpt_oss_ ? "post_attention_norm.weight" : "ffn_norm.weight");
      const bool shares = parallel && file_.find_tensor(own_norm) == nullptr;
      const Rows before = x;
      add(x, y);
      const Rows after_attention = x;
      y = feed_forward(prefix, shares ? read : normalize_if_there(parallel ? before : x, own_norm));
      if (file_.find_tensor(prefix + "post_ffw_norm_2.weight") != nullptr) {
        y = normalize(y, prefix + "post_ffw_norm_1.weight");
        add(y, normalize(experts_of_gemma4(prefix, after_attention),
                         prefix + "post_ffw_norm_2.weight"));
      }
      y = normalize_if_there(y, prefix + "post_ffw_norm.weight");
      scale(y, real("residual_scale", 1));
      add(x, y);
      if (!beside.empty()) add(x, per_layer_input(prefix, x, beside[static_cast<size_t>(layer)]));
      if (const auto out = find_vector(prefix + "layer_output_scale.weight")) scale(x, (*out)[0]);
    }
    const bool tied = file_.find_tensor("output.weight") == nullptr;
    Rows result =
        linear(normalize(x, "output_norm.weight"), tied ? "token_embd.weight" : "output.weight");
    const double logit_scale = real("logit_scale", 1);
    scale(result, architecture_ == "granite" ? 1 / logit_scale : logit_scale);
    const double cap = real("final_logit_softcapping", 0);
    for (Vector& row : result) {
      for (double& logit : row) logit = soft_cap(logit, cap);
    }
    return result;
  }

 private:
  bool is_any_of(std::initializer_list<std::string_view> families) const {
    return std::find(families.begin(), families.end(), architecture_) != families.end();
  }

  // ---- reading the file

  int integer(std::string_view name, int fallback) const {
    return static_cast<int>(file_.metadata().get_int(key(name)).value_or(fallback));
  }
  int integer(std::string_view name) const {
    return static_cast<int>(file_.metadata().require_int(key(name)));
  }
  // One number for all layers, or one for each.
  std::vector<int> integers(std::string_view name, std::optional<int> fallback = {}) const {
    const GgufMetadata& metadata = file_.metadata();
    if (!metadata.is_array(key(name))) {
      const int all = fallback ? integer(name, *fallback) : integer(name);
      return std::vector<int>(static_cast<size_t>(layers_), all);
    }
    const std::vector<int64_t> values = *metadata.get_ints(key(name));
    return {values.begin(), values.end()};
  }
  double real(std::string_view name, double fallback) const {
    return file_.metadata().get_float(key(name)).value_or(fallback);
  }
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }

  static Vector decode_row(const StoredTensor& tensor, uint64_t row) {
    std::vector<float> values(tensor.columns());
    tensor.format->decode(tensor.bytes.data() + row * tensor.format->row_bytes(tensor.columns()),
                          values);
    return {values.begin(), values.end()};
  }
  Vector read_vector(const std::string& name) const {
    return decode_row(file_.require_tensor(name), 0);
  }
  std::optional<Vector> find_vector(const std::string& name) const {
    if (file_.find_tensor(name) == nullptr) return std::nullopt;
    return read_vector(name);
  }

  // ---- the parts of the transformer

  Rows embed(std::span<const Token> tokens) const {
    const StoredTensor& table = file_.require_tensor("token_embd.weight");
    const bool gemma = gemma_ || architecture_ == "gemma";
    const double scale =
        real("embedding_scale", gemma ? std::sqrt(static_cast<double>(embedding_)) : 1);
    Rows rows;
    for (const Token token : tokens) {
      rows.push_back(decode_row(table, static_cast<uint64_t>(token)));
      for (double& value : rows.back()) value *= scale;
    }
    if (const StoredTensor* positions = file_.find_tensor("position_embd.weight")) {
      for (size_t t = 0; t < rows.size(); ++t) {
        const Vector position = decode_row(*positions, t);
        for (size_t i = 0; i < position.size(); ++i) rows[t][i] += position[i];
      }
    }
    return normalize_if_there(rows, "token_embd_norm.weight");
  }

  // y = W x + b, with the bias if the file has one: NAME.weight and NAME.bias.
  Rows linear(const Rows& x, const std::string& weight_name) const {
    const StoredTensor& weight = file_.require_tensor(weight_name);
    const std::string stem = weight_name.substr(0, weight_name.rfind('.'));
    const std::optional<Vector> bias = find_vector(stem + ".bias");
    Rows y(x.size(), Vector(weight.rows()));
    for (uint64_t row = 0; row < weight.rows(); ++row) {
      const Vector w = decode_row(weight, row);
      for (size_t t = 0; t < x.size(); ++t) y[t][row] = dot(w, x[t]) + (bias ? (*bias)[row] : 0);
    }
    return y;
  }

  void normalize(std::span<double> x, const Vector& weight) const {
    const double scale = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + epsilon_);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= scale * weight[i];
  }
  Rows normalize(Rows x, const std::string& weight_name) const {
    const Vector weight = read_vector(weight_name);
    for (Vector& row : x) {
      if (layer_norms_) {  // Ba et al. 2016
        const double mean =
            std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(row.size());
        for (double& value : row) value -= mean;
      }
      normalize(row, weight);
    }
    const auto bias = find_vector(weight_name.substr(0, weight_name.rfind('.')) + ".bias");
    for (Vector& row : x)
      for (size_t i = 0; bias && i < row.size(); ++i) row[i] += (*bias)[i];
    return x;
  }
  Rows normalize_if_there(const Rows& x, const std::string& weight_name) const {
    return file_.find_tensor(weight_name) == nullptr ? x : normalize(x, weight_name);
  }

  double activation(double x) const {
    if (gemma_ || is_any_of({"gemma", "gpt2", "phi2", "bloom"})) return gelu(x);
    if (is_any_of({"gptneox", "mpt"})) return gelu_erf(x);
    if (architecture_ == "opt") return std::max(x, 0.0);
    return silu(x);
  }

  // Gemma 4's, of the stream: the router has a norm of its own, and what an expert says a scale.
  Rows experts_of_gemma4(const std::string& prefix, Rows x) const {
    const Rows read = normalize(x, prefix + "pre_ffw_norm_2.weight");
    const Vector scales = read_vector(prefix + "ffn_down_exps.scale");
    Rows scores = x;
    const Vector weight = read_vector(prefix + "ffn_gate_inp.scale");
    for (Vector& row : scores) normalize(row, weight);
    scale(scores, 1 / std::sqrt(static_cast<double>(embedding_)));
    scores = linear(scores, prefix + "ffn_gate_inp.weight");
    Rows result(x.size(), Vector(static_cast<size_t>(embedding_)));
    for (size_t t = 0; t < x.size(); ++t) {
      std::vector<size_t> order(scores[t].size());
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(),
                [&](size_t a, size_t b) { return scores[t][a] > scores[t][b]; });
      order.resize(static_cast<size_t>(integer("expert_used_count")));
      double all = 0;
      for (const size_t e : order) all += std::exp(scores[t][e]);
      for (const size_t e : order) {
        const Vector both = expert({read[t]}, prefix + "ffn_gate_up_exps.weight", e)[0];
        Rows hidden(1, Vector(both.size() / 2));
        for (size_t i = 0; i < hidden[0].size(); ++i)
          hidden[0][i] = gelu(both[i]) * both[i + hidden[0].size()];
        const Rows y = expert(hidden, prefix + "ffn_down_exps.weight", e);
        for (size_t i = 0; i < y[0].size(); ++i)
          result[t][i] += std::exp(scores[t][e]) / all * scales[e] * y[0][i];
      }
    }
    return result;
  }

  // What each layer reads beside the stream: what a table says of the token, and a matrix of its
  // embedding. None in models without.
  std::vector<Rows> per_layer_inputs(std::span<const Token> tokens, const Rows& x) const {
    const auto n = static_cast<size_t>(integer("embedding_length_per_layer_input", 0));
    if (n == 0) return {};
    const StoredTensor& table = file_.require_tensor("per_layer_token_embd.weight");
    const Vector weight = read_vector("per_layer_proj_norm.weight");
    Rows all = linear(x, "per_layer_model_proj.weight");
    scale(all, 1 / std::sqrt(static_cast<double>(embedding_)));
    std::vector<Rows> result(static_cast<size_t>(layers_));
    for (size_t t = 0; t < tokens.size(); ++t) {
      const Vector of_token = decode_row(table, static_cast<uint64_t>(tokens[t]));
      for (size_t layer = 0; layer < result.size(); ++layer) {
        const std::span<double> part = std::span(all[t]).subspan(layer * n, n);
        normalize(part, weight);
        Vector& row = result[layer].emplace_back(part.begin(), part.end());
        for (size_t i = 0; i < n; ++i) {
          row[i] += std::sqrt(static_cast<double>(n)) * of_token[layer * n + i];
          row[i] /= std::numbers::sqrt2;
        }
      }
    }
    return result;
  }
  Rows per_layer_input(const std::string& prefix, const Rows& x, const Rows& beside) const {
    Rows gate = linear(x, prefix + "inp_gate.weight");
    for (size_t t = 0; t < gate.size(); ++t) {
      for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = gelu(gate[t][i]) * beside[t][i];
    }
    return normalize(linear(gate, prefix + "proj.weight"), prefix + "post_norm.weight");
  }

  // A mixture: softmax over all experts' scores, the best few weighed by it (in Mixtral and Qwen 3
  // so that their weights add up to 1); Qwen 2 adds an expert that all visit, weighed by a sigmoid.
  Rows experts(const std::string& prefix, const Rows& x) const {
    const int used = integer("expert_used_count");
    const bool normalized = !is_any_of({"qwen2moe", "olmoe"});
    const Rows scores = linear(x, prefix + "ffn_gate_inp.weight");
    Rows result(x.size(), Vector(static_cast<size_t>(embedding_)));
    for (size_t t = 0; t < x.size(); ++t) {
      Vector p = scores[t];
      for (double& score : p) score = std::exp(score);
      const double all = std::accumulate(p.begin(), p.end(), 0.0);
      std::vector<size_t> order(p.size());
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
      order.resize(static_cast<size_t>(used));
      double chosen = 0;
      for (const size_t e : order) chosen += p[e];
      for (const size_t e : order) {
        Rows hidden = expert({x[t]}, prefix + "ffn_gate_exps.weight", e);
        const Rows up = expert({x[t]}, prefix + "ffn_up_exps.weight", e);
        for (size_t i = 0; i < hidden[0].size(); ++i) {
          double& gate = hidden[0][i];
          gate = gpt_oss_ ? clamped_silu(gate, up[0][i]) : silu(gate) * up[0][i];
        }
        const Rows y = expert(hidden, prefix + "ffn_down_exps.weight", e);
        for (size_t i = 0; i < y[0].size(); ++i)
          result[t][i] += p[e] / (normalized ? chosen : all) * y[0][i];
      }
    }
    if (file_.find_tensor(prefix + "ffn_gate_shexp.weight") == nullptr) return result;
    Rows hidden = linear(x, prefix + "ffn_gate_shexp.weight");
    const Rows up = linear(x, prefix + "ffn_up_shexp.weight");
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < hidden[t].size(); ++i) hidden[t][i] = silu(hidden[t][i]) * up[t][i];
    }
    Rows shared = linear(hidden, prefix + "ffn_down_shexp.weight");
    const Vector weight = read_vector(prefix + "ffn_gate_inp_shexp.weight");
    for (size_t t = 0; t < x.size(); ++t) {
      for (double& value : shared[t]) value /= 1 + std::exp(-dot(weight, x[t]));
    }
    add(result, shared);
    return result;
  }
  // y = W_e x + b_e, of tensors [experts, rows, columns] and, if the file has it, [experts, rows].
  Rows expert(const Rows& x, const std::string& name, size_t e) const {
    const StoredTensor& weight = file_.require_tensor(name);
    const uint64_t rows = weight.shape[1];
    const StoredTensor* biases = file_.find_tensor(name.substr(0, name.rfind('.')) + ".bias");
    const Vector bias = biases == nullptr ? Vector(rows) : decode_row(*biases, e);
    Rows y(x.size(), Vector(rows));
    for (uint64_t row = 0; row < rows; ++row) {
      const Vector w = decode_row(weight, e * rows + row);
      for (size_t t = 0; t < x.size(); ++t) y[t][row] = dot(w, x[t]) + bias[row];
    }
    return y;
  }

  Rows feed_forward(const std::string& prefix, const Rows& x) const {
    if (!gemma4_ && file_.find_tensor(prefix + "ffn_gate_inp.weight") != nullptr)
      return experts(prefix, x);
    if (is_any_of({"gpt2", "opt", "gptneox", "phi2", "bloom", "mpt"})) {  // without a gate
      Rows inner = linear(x, prefix + "ffn_up.weight");
      for (Vector& row : inner)
        for (double& value : row) value = activation(value);
      return linear(inner, prefix + "ffn_down.weight");
    }
    const bool fused =
        file_.find_tensor(prefix + "ffn_gate.weight") == nullptr;  // Phi 3: gate, then up
    Rows up = linear(x, prefix + "ffn_up.weight");
    Rows gate = fused ? up : linear(x, prefix + "ffn_gate.weight");
    for (size_t t = 0; t < x.size(); ++t) {
      if (fused) {
        const auto half = static_cast<std::ptrdiff_t>(up[t].size() / 2);
        up[t].erase(up[t].begin(), up[t].begin() + half);
        gate[t].resize(static_cast<size_t>(half));
      }
      for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = activation(gate[t][i]) * up[t][i];
    }
    return linear(gate, prefix + "ffn_down.weight");
  }

  // Some layers of Gemma see only a window: all but every second (Gemma 2) or sixth (Gemma 3).
  // Other families with a window have it in every layer.
  bool is_windowed(int layer) const {
    if (gemma4_) return windowed_[static_cast<size_t>(layer)];
    const int period = architecture_ == "gemma2" || gpt_oss_        ? 2
                       : architecture_ == "gemma3"                  ? 6
                       : is_any_of({"olmo2", "exaone4", "cohere2"}) ? 4
                                                                    : 0;
    return window_ > 0 && (period == 0 || (layer + 1) % period != 0);
  }

  // A layer's heads.
  struct Heads {
    int queries, keys;  // how many
    int length, rotated;
    double scale;  // of scores
  };

  Heads heads_of(int layer) const {
    const auto i = static_cast<size_t>(layer);
    // The 27B models of Gemma 2 and 3 scale queries by embedding / heads instead of the head's
    // length.
    const bool gemma_27b = (architecture_ == "gemma2" && layers_ == 46) ||
                           (architecture_ == "gemma3" && layers_ == 62);
    const double scaled_length =
        gemma_27b ? static_cast<double>(embedding_) / query_heads_[i] : head_dims_[i];
    return {.queries = query_heads_[i],
            .keys = kv_heads_[i],
            .length = head_dims_[i],
            .rotated = gemma4_ ? head_dims_[i] : integer("rope.dimension_count", head_dims_[i]),
            .scale = gemma4_ ? 1 : real("attention.scale", 1 / std::sqrt(scaled_length))};
  }

  struct KeysAndValues {
    Rows k, v;
  };

  // Makes the layer's keys and values and keeps them, or, in layers without a key matrix, returns
  // those of the last layer with one that has a window if this one has, and else none.
  const KeysAndValues& keys_and_values(int layer, const std::string& prefix, Rows k, Rows v,
                                       std::vector<KeysAndValues>& kept) const {
    if (gemma4_ && file_.find_tensor(prefix + "attn_k.weight") == nullptr) {
      size_t source = kept.size() - 1;
      while (is_windowed(static_cast<int>(source)) != is_windowed(layer)) --source;
      return kept[source];
    }
    if (gemma4_ && v.empty()) v = k;
    for (Vector& row : v) {
      const int length = heads_of(layer).length;
      for (int h = 0; gemma4_ && h < heads_of(layer).keys; ++h)
        normalize(head(row, h, length), Vector(static_cast<size_t>(length), 1.0));
    }
    prepare_heads(layer, k, heads_of(layer).keys, find_vector(prefix + "attn_k_norm.weight"));
    kept.push_back({std::move(k), std::move(v)});
    return kept.back();
  }

  Rows attention(int layer, const std::string& prefix, const Rows& x,
                 std::vector<KeysAndValues>& kept) const {
    const Heads heads = heads_of(layer);
    Rows q, own_k, own_v;
    project_heads(prefix, heads, x, q, own_k, own_v);
    prepare_heads(layer, q, heads.queries, find_vector(prefix + "attn_q_norm.weight"));
    const auto& [k, v] = keys_and_values(layer, prefix, std::move(own_k), std::move(own_v), kept);
    // Llama 4's temperature: queries grow each time the original context is over.
    const double growth = real("attention.temperature_scale", 0);
    for (size_t t = 0; t < q.size(); ++t)
      for (double& value : q[t])
        value *= 1 + growth * std::log(1 + std::floor(static_cast<double>(t) / original_context_));

    const std::optional<Vector> sinks = find_vector(prefix + "attn_sinks.weight");
    const int window = is_windowed(layer) ? window_ : static_cast<int>(x.size());
    Rows mixed(x.size(), Vector(q[0].size(), 0.0));
    for (int t = 0; t < static_cast<int>(x.size()); ++t) {
      for (int h = 0; h < heads.queries; ++h) {
        const double* sink = sinks ? &(*sinks)[static_cast<size_t>(h)] : nullptr;
        attend(t, std::max(0, t - window + 1), heads, h, sink, q[t], k, v, mixed[t]);
      }
    }
    return linear(mixed, prefix + "attn_output.weight");
  }

  // Head h of out = softmax(scale q . k_j) v_j over positions j = first .. last and a sink without
  // a value.
  void attend(int last, int first, const Heads& heads, int h, const double* sink, Vector& queries,
              const Rows& k, const Rows& v, Vector& out) const {
    const int kv_head = h / (heads.queries / heads.keys);
    const std::span<double> q = head(queries, h, heads.length);
    Vector scores;
    for (int j = first; j <= last; ++j) {
      const double score = heads.scale * dot(q, head(k[j], kv_head, heads.length)) -
                           slope(h, heads.queries) * (last - j);
      scores.push_back(soft_cap(score, attention_cap_));
    }
    const double highest = *std::max_element(scores.begin(), scores.end());
    double total = sink == nullptr ? 0 : std::exp(*sink - highest);
    for (double& score : scores) total += score = std::exp(score - highest);
    for (int j = first; j <= last; ++j) {
      const std::span<const double> value = head(v[j], kv_head, heads.length);
      for (int i = 0; i < heads.length; ++i)
        head(out, h, heads.length)[i] += scores[j - first] / total * value[i];
    }
  }

  // ALiBi (Press et al. 2022): 2^(-8/n), 2^(-16/n), ... of n = 2^k heads; of other numbers those of
  // the next lower power of two, and then the odd ones of twice as many.
  double slope(int h, int heads) const {
    const double most = real("attention.max_alibi_bias", architecture_ == "bloom" ? 8 : 0);
    if (most == 0) return 0;
    int power = 1;
    while (2 * power <= heads) power *= 2;
    if (h < power) return std::pow(2, -most * (h + 1) / power);
    return std::pow(2, -most * (2 * (h - power) + 1) / (2 * power));
  }

  static std::span<double> head(Vector& row, int index, int length) {
    return std::span(row).subspan(static_cast<size_t>(index) * length, length);
  }
  static std::span<const double> head(const Vector& row, int index, int length) {
    return std::span(row).subspan(static_cast<size_t>(index) * length, length);
  }

  void project_heads(const std::string& prefix, const Heads& heads, const Rows& x, Rows& q, Rows& k,
                     Rows& v) const {
    if (file_.find_tensor(prefix + "attn_qkv.weight") == nullptr) {
      q = linear(x, prefix + "attn_q.weight");
      const auto find = [&](const std::string& name) {
        return gemma4_ && file_.find_tensor(name) == nullptr ? Rows() : linear(x, name);
      };
      k = find(prefix + "attn_k.weight");
      v = find(prefix + "attn_v.weight");
      return;
    }
    const auto q_end = heads.queries * heads.length, k_end = q_end + heads.keys * heads.length;
    for (const Vector& row : linear(x, prefix + "attn_qkv.weight")) {
      q.emplace_back(row.begin(), row.begin() + q_end);
      k.emplace_back(row.begin() + q_end, row.begin() + k_end);
      v.emplace_back(row.begin() + k_end, row.end());
    }
  }

  // SmolLM 3 leaves every fourth layer alone; EXAONE 4 and Cohere 2 those without a window.
  bool is_rotated(int layer) const {
    if (is_any_of({"gpt2", "opt", "bloom", "mpt"})) return false;
    if (architecture_ == "smollm3") return (layer + 1) % 4 != 0;
    if (architecture_ == "cohere2") return is_windowed(layer);
    return architecture_ != "exaone4" || window_ <= 0 || is_windowed(layer);
  }

  // Norm of each head (Qwen 3, Gemma 3), then RoPE.
  void prepare_heads(int layer, Rows& rows, int count, const std::optional<Vector>& norm) const {
    const Rotation rotation = rotation_of(layer);
    for (size_t position = 0; position < rows.size(); ++position) {
      const bool whole = norm && norm->size() == rows[position].size() && count > 1;  // OLMo 2
      if (whole) normalize(rows[position], *norm);
      for (int h = 0; h < count; ++h) {
        const std::span<double> x = head(rows[position], h, heads_of(layer).length);
        if (norm && !whole) normalize(x, *norm);
        if (is_rotated(layer)) rotate(rotation, static_cast<double>(position), x);
      }
    }
  }

  // ---- rotary position embedding

  struct Rotation {
    Vector frequency;  // of each pair
    double magnitude = 1;
  };

  void rotate(const Rotation& rotation, double position, std::span<double> x) const {
    const int pairs = static_cast<int>(rotation.frequency.size());
    for (int i = 0; i < pairs; ++i) {
      // Llama's GGUF weights are permuted so that pairs are neighbours; the other families' pairs
      // lie half the rotated dimensions apart.
      const bool neighbours = is_any_of({"llama", "smollm3", "granite", "mistral3", "cohere2"});
      double& a = x[neighbours ? 2 * i : i];
      double& b = x[neighbours ? 2 * i + 1 : i + pairs];
      const double angle = position * rotation.frequency[i];
      const double cosine = rotation.magnitude * std::cos(angle),
                   sine = rotation.magnitude * std::sin(angle);
      const double old_a = a;
      a = old_a * cosine - b * sine;
      b = old_a * sine + b * cosine;
    }
  }

  Rotation rotation_of(int layer) const {
    // Gemma 3's windowed layers have a base of their own and are never scaled.
    const bool local = (architecture_ == "gemma3" || gemma4_) && is_windowed(layer);
    const double base = local ? real("rope.freq_base_swa", 10000) : real("rope.freq_base", 10000);
    const int dimensions = heads_of(layer).rotated;
    Rotation rotation;
    for (int i = 0; i < dimensions / 2; ++i) {
      rotation.frequency.push_back(std::pow(base, -2.0 * i / dimensions));
    }
    if (!local && !(architecture_ == "olmo2" && is_windowed(layer))) stretch(rotation, base);
    return rotation;
  }

  void stretch(Rotation& rotation, double base) const {
    const std::string type =
        file_.metadata().get_string(key("rope.scaling.type")).value_or("linear");
    const double stored_factor = real("rope.scaling.factor", 0);
    const double factor = stored_factor == 0 || type == "none" ? 1 : stored_factor;
    rotation.magnitude = real("rope.scaling.attn_factor", 1);

    // Llama 3's factors of each frequency, or LongRoPE's for a short or a long context.
    std::optional<Vector> divisors = find_vector("rope_freqs.weight");
    if (!divisors) {
      divisors = find_vector(context_ > original_context_ ? "rope_factors_long.weight"
                                                          : "rope_factors_short.weight");
    }
    for (size_t i = 0; i < rotation.frequency.size(); ++i) {
      const double plain = rotation.frequency[i] / (divisors ? (*divisors)[i] : 1);
      const double kept = type == "yarn" ? yarn_kept(i, rotation.frequency.size() * 2, base) : 0;
      rotation.frequency[i] = kept * plain + (1 - kept) * plain / factor;
    }
    if (type == "yarn") {  // DeepSeek's configurations: mscale / mscale_all_dim
      const double all_dimensions = real("rope.scaling.yarn_log_multiplier", 0);
      rotation.magnitude *=
          (1 + 0.1 * std::log(factor)) / (1 + 0.1 * all_dimensions * std::log(factor));
    }
  }

  // YaRN: the share of pair i's frequency that stays as it was. Pairs that turn more than beta_fast
  // times over the original context keep it, pairs below beta_slow turns are interpolated, with a
  // ramp between.
  double yarn_kept(size_t pair, size_t rotated, double base) const {
    const double beta_fast = 32, beta_slow = 1;
    const auto i = static_cast<double>(pair), dimensions = static_cast<double>(rotated);
    const auto pair_with_turns = [&](double turns) {
      return dimensions * std::log(original_context_ / (turns * 2 * std::numbers::pi)) /
             (2 * std::log(base));
    };
    const double low = std::max(0.0, std::floor(pair_with_turns(beta_fast)));
    const double high = std::min(dimensions - 1.0, std::ceil(pair_with_turns(beta_slow)));
    return 1 - std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
  }

  const GgufFile& file_;
  std::string architecture_;
  int context_ = 0, original_context_ = 0;
  int layers_ = 0, embedding_ = 0;
  std::vector<int> query_heads_, kv_heads_, head_dims_;  // of each layer
  int window_ = 0;
  std::vector<bool> windowed_;  // of Gemma 4, each layer
  bool gemma_ = false, gemma4_ = false, gpt_oss_ = false, layer_norms_ = false;
  double epsilon_ = 0, attention_cap_ = 0;
};

// log softmax
template <typename Logits>
Vector log_probabilities(const Logits& logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const double logit : logits) total += std::exp(logit - highest);
  Vector result;
  for (const double logit : logits) result.push_back(logit - highest - std::log(total));
  return result;
}

}  // namespace

std::vector<std::vector<double>> oracle_logits(const GgufFile& file, std::span<const Token> tokens,
                                               int context) {
  return Oracle(file, context).logits(tokens);
}

double kl_divergence(std::span<const double> reference_logits, std::span<const float> logits) {
  const Vector p = log_probabilities(reference_logits), q = log_probabilities(logits);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

}  // namespace tessera
