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

#include "support/oracle_experts.h"
#include "support/oracle_file.h"
#include "support/oracle_rotary.h"

namespace tessera {
namespace {

using namespace oracle;

class Oracle {
 public:
  Oracle(const GgufFile& file, int context) : f_(file), rotary_(f_, context) {
    query_heads_ = f_.integers("attention.head_count");
    kv_heads_ = f_.integers("attention.head_count_kv", query_heads_[0]);
    head_dims_ = f_.integers("attention.key_length", f_.embedding / query_heads_[0]);
    window_ = f_.integer("attention.sliding_window", 0);
    attention_cap_ = f_.real("attn_logit_softcapping", 0);
    gpt_oss_ = f_.architecture == "gpt-oss";
    gemma4_ = f_.architecture == "gemma4";
    gemma_ = f_.architecture == "gemma2" || f_.architecture == "gemma3" || gemma4_;
    llama4_ = f_.architecture == "llama4";
    if (!gemma4_) return;
    windowed_ = *f_.file.metadata().get_bools(f_.key("attention.sliding_window_pattern"));
    for (size_t i = 0; i < windowed_.size(); ++i)
      if (windowed_[i]) head_dims_[i] = f_.integer("attention.key_length_swa");
  }

  Rows logits(std::span<const Token> tokens) const {
    Rows x = embed(tokens);
    const std::vector<Rows> beside = per_layer_inputs(tokens, x);
    std::vector<KeysAndValues> kept;
    for (int layer = 0; layer < f_.layers; ++layer) {
      const std::string prefix = fmt::format("blk.{}.", layer);
      // Some families normalize what is added rather than what is read, or both.
      const Rows read = f_.normalize_if_there(x, prefix + "attn_norm.weight");
      Rows y = attention(layer, prefix, read, kept);
      if (!gpt_oss_) y = f_.normalize_if_there(y, prefix + "post_attention_norm.weight");
      scale(y, f_.real("residual_scale", 1));
      // GPT-J's residual: the feed-forward does not wait for attention, and may share its norm.
      const bool parallel = f_.is_any_of({"gptneox", "phi2", "cohere2"});
      const std::string own_norm =
          prefix + (gpt_oss_ ? "post_attention_norm.weight" : "ffn_norm.weight");
      const bool shares = parallel && f_.file.find_tensor(own_norm) == nullptr;
      const Rows before = x;
      add(x, y);
      const Rows after_attention = x;
      y = feed_forward(prefix,
                       shares ? read : f_.normalize_if_there(parallel ? before : x, own_norm));
      if (f_.file.find_tensor(prefix + "post_ffw_norm_2.weight") != nullptr) {
        y = f_.normalize(y, prefix + "post_ffw_norm_1.weight");
        add(y, f_.normalize(experts_of_gemma4(f_, prefix, after_attention),
                            prefix + "post_ffw_norm_2.weight"));
      }
      y = f_.normalize_if_there(y, prefix + "post_ffw_norm.weight");
      scale(y, f_.real("residual_scale", 1));
      add(x, y);
      if (!beside.empty()) add(x, per_layer_input(prefix, x, beside[static_cast<size_t>(layer)]));
      if (const auto out = f_.find_vector(prefix + "layer_output_scale.weight"))
        scale(x, (*out)[0]);
    }
    const bool tied = f_.file.find_tensor("output.weight") == nullptr;
    Rows result = f_.linear(f_.normalize(x, "output_norm.weight"),
                            tied ? "token_embd.weight" : "output.weight");
    const double logit_scale = f_.real("logit_scale", 1);
    scale(result, f_.architecture == "granite" ? 1 / logit_scale : logit_scale);
    const double cap = f_.real("final_logit_softcapping", 0);
    for (Vector& row : result) {
      for (double& logit : row) logit = soft_cap(logit, cap);
    }
    return result;
  }

 private:
  // ---- the parts of the transformer

  Rows embed(std::span<const Token> tokens) const {
    const StoredTensor& table = f_.file.require_tensor("token_embd.weight");
    const bool gemma = gemma_ || f_.architecture == "gemma";
    const double scale =
        f_.real("embedding_scale", gemma ? std::sqrt(static_cast<double>(f_.embedding)) : 1);
    Rows rows;
    for (const Token token : tokens) {
      rows.push_back(f_.decode_row(table, static_cast<uint64_t>(token)));
      for (double& value : rows.back()) value *= scale;
    }
    if (const StoredTensor* positions = f_.file.find_tensor("position_embd.weight")) {
      for (size_t t = 0; t < rows.size(); ++t) {
        const Vector position = f_.decode_row(*positions, t);
        for (size_t i = 0; i < position.size(); ++i) rows[t][i] += position[i];
      }
    }
    return f_.normalize_if_there(rows, "token_embd_norm.weight");
  }

  double activation(double x) const {
    if (gemma_ || f_.is_any_of({"gemma", "gpt2", "phi2", "bloom"})) return gelu(x);
    if (f_.is_any_of({"gptneox", "mpt"})) return gelu_erf(x);
    if (f_.architecture == "opt") return std::max(x, 0.0);
    return silu(x);
  }

  // What each layer reads beside the stream: what a table says of the token, and a matrix of its
  // embedding. None in models without.
  std::vector<Rows> per_layer_inputs(std::span<const Token> tokens, const Rows& x) const {
    const auto n = static_cast<size_t>(f_.integer("embedding_length_per_layer_input", 0));
    if (n == 0) return {};
    const StoredTensor& table = f_.file.require_tensor("per_layer_token_embd.weight");
    const Vector weight = f_.read_vector("per_layer_proj_norm.weight");
    Rows all = f_.linear(x, "per_layer_model_proj.weight");
    scale(all, 1 / std::sqrt(static_cast<double>(f_.embedding)));
    std::vector<Rows> result(static_cast<size_t>(f_.layers));
    for (size_t t = 0; t < tokens.size(); ++t) {
      const Vector of_token = f_.decode_row(table, static_cast<uint64_t>(tokens[t]));
      for (size_t layer = 0; layer < result.size(); ++layer) {
        const std::span<double> part = std::span(all[t]).subspan(layer * n, n);
        f_.normalize(part, weight);
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
    Rows gate = f_.linear(x, prefix + "inp_gate.weight");
    for (size_t t = 0; t < gate.size(); ++t) {
      for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = gelu(gate[t][i]) * beside[t][i];
    }
    return f_.normalize(f_.linear(gate, prefix + "proj.weight"), prefix + "post_norm.weight");
  }

  Rows feed_forward(const std::string& prefix, const Rows& x) const {
    if (!gemma4_ && f_.file.find_tensor(prefix + "ffn_gate_inp.weight") != nullptr)
      return experts(f_, prefix, x);
    if (f_.is_any_of({"gpt2", "opt", "gptneox", "phi2", "bloom", "mpt"})) {  // without a gate
      Rows inner = f_.linear(x, prefix + "ffn_up.weight");
      for (Vector& row : inner)
        for (double& value : row) value = activation(value);
      return f_.linear(inner, prefix + "ffn_down.weight");
    }
    const bool fused =
        f_.file.find_tensor(prefix + "ffn_gate.weight") == nullptr;  // Phi 3: gate, then up
    Rows up = f_.linear(x, prefix + "ffn_up.weight");
    Rows gate = fused ? up : f_.linear(x, prefix + "ffn_gate.weight");
    for (size_t t = 0; t < x.size(); ++t) {
      if (fused) {
        const auto half = static_cast<std::ptrdiff_t>(up[t].size() / 2);
        up[t].erase(up[t].begin(), up[t].begin() + half);
        gate[t].resize(static_cast<size_t>(half));
      }
      for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = activation(gate[t][i]) * up[t][i];
    }
    return f_.linear(gate, prefix + "ffn_down.weight");
  }

  // Some layers of Gemma see only a window: all but every second (Gemma 2) or sixth (Gemma 3).
  // Other families with a window have it in every layer.
  bool is_windowed(int layer) const {
    if (gemma4_) return windowed_[static_cast<size_t>(layer)];
    const int period = f_.architecture == "gemma2" || gpt_oss_         ? 2
                       : f_.architecture == "gemma3"                   ? 6
                       : f_.is_any_of({"olmo2", "exaone4", "cohere2"}) ? 4
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
    const bool gemma_27b = (f_.architecture == "gemma2" && f_.layers == 46) ||
                           (f_.architecture == "gemma3" && f_.layers == 62);
    const double scaled_length =
        gemma_27b ? static_cast<double>(f_.embedding) / query_heads_[i] : head_dims_[i];
    return {.queries = query_heads_[i],
            .keys = kv_heads_[i],
            .length = head_dims_[i],
            .rotated = gemma4_ ? head_dims_[i] : f_.integer("rope.dimension_count", head_dims_[i]),
            .scale = gemma4_ ? 1 : f_.real("attention.scale", 1 / std::sqrt(scaled_length))};
  }

  struct KeysAndValues {
    Rows k, v;
  };

  // Makes the layer's keys and values and keeps them, or, in layers without a key matrix, returns
  // those of the last layer with one that has a window if this one has, and else none.
  const KeysAndValues& keys_and_values(int layer, const std::string& prefix, Rows k, Rows v,
                                       std::vector<KeysAndValues>& kept) const {
    if (gemma4_ && f_.file.find_tensor(prefix + "attn_k.weight") == nullptr) {
      size_t source = kept.size() - 1;
      while (is_windowed(static_cast<int>(source)) != is_windowed(layer)) --source;
      return kept[source];
    }
    if (gemma4_ && v.empty()) v = k;
    for (Vector& row : v) {
      const int length = heads_of(layer).length;
      for (int h = 0; gemma4_ && h < heads_of(layer).keys; ++h)
        f_.normalize(head(row, h, length), Vector(static_cast<size_t>(length), 1.0));
    }
    prepare_heads(layer, k, heads_of(layer).keys, f_.find_vector(prefix + "attn_k_norm.weight"));
    kept.push_back({std::move(k), std::move(v)});
    return kept.back();
  }

  Rows attention(int layer, const std::string& prefix, const Rows& x,
                 std::vector<KeysAndValues>& kept) const {
    const Heads heads = heads_of(layer);
    Rows q, own_k, own_v;
    project_heads(prefix, heads, x, q, own_k, own_v);
    prepare_heads(layer, q, heads.queries, f_.find_vector(prefix + "attn_q_norm.weight"));
    const auto& [k, v] = keys_and_values(layer, prefix, std::move(own_k), std::move(own_v), kept);
    // Llama 4's temperature: queries grow each time the original context is over.
    const double growth =
        llama4_ && is_rotated(layer) ? 0 : f_.real("attention.temperature_scale", 0);
    const double period =
        llama4_ ? f_.integer("attention.temperature_length") : rotary_.original_context();
    for (size_t t = 0; t < q.size(); ++t) {
      const auto past = static_cast<double>(llama4_ ? t + 1 : t);
      for (double& value : q[t]) value *= 1 + growth * std::log(1 + std::floor(past / period));
    }

    const std::optional<Vector> sinks = f_.find_vector(prefix + "attn_sinks.weight");
    const int window = is_windowed(layer) ? window_ : static_cast<int>(x.size());
    Rows mixed(x.size(), Vector(q[0].size(), 0.0));
    for (int t = 0; t < static_cast<int>(x.size()); ++t) {
      for (int h = 0; h < heads.queries; ++h) {
        const double* sink = sinks ? &(*sinks)[static_cast<size_t>(h)] : nullptr;
        const int chunk = f_.integer("attention.chunk_size", 1);
        const int first =
            llama4_ && is_rotated(layer) ? t - t % chunk : std::max(0, t - window + 1);
        attend(t, first, heads, h, sink, q[t], k, v, mixed[t]);
      }
    }
    return f_.linear(mixed, prefix + "attn_output.weight");
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
    const double most = f_.real("attention.max_alibi_bias", f_.architecture == "bloom" ? 8 : 0);
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
    if (f_.file.find_tensor(prefix + "attn_qkv.weight") == nullptr) {
      q = f_.linear(x, prefix + "attn_q.weight");
      const auto find = [&](const std::string& name) {
        return gemma4_ && f_.file.find_tensor(name) == nullptr ? Rows() : f_.linear(x, name);
      };
      k = find(prefix + "attn_k.weight");
      v = find(prefix + "attn_v.weight");
      return;
    }
    const auto q_end = heads.queries * heads.length, k_end = q_end + heads.keys * heads.length;
    for (const Vector& row : f_.linear(x, prefix + "attn_qkv.weight")) {
      q.emplace_back(row.begin(), row.begin() + q_end);
      k.emplace_back(row.begin() + q_end, row.begin() + k_end);
      v.emplace_back(row.begin() + k_end, row.end());
    }
  }

  // SmolLM 3 leaves every fourth layer alone; EXAONE 4 and Cohere 2 those without a window.
  bool is_rotated(int layer) const {
    if (f_.is_any_of({"gpt2", "opt", "bloom", "mpt"})) return false;
    if (f_.architecture == "smollm3" || llama4_) return (layer + 1) % 4 != 0;
    if (f_.architecture == "cohere2") return is_windowed(layer);
    return f_.architecture != "exaone4" || window_ <= 0 || is_windowed(layer);
  }

  // Norm of each head (Qwen 3, Gemma 3), then RoPE.
  void prepare_heads(int layer, Rows& rows, int count, const std::optional<Vector>& norm) const {
    const Rotation rotation = rotation_of(layer);
    for (size_t position = 0; position < rows.size(); ++position) {
      const bool whole = norm && norm->size() == rows[position].size() && count > 1;  // OLMo 2
      if (whole) f_.normalize(rows[position], *norm);
      for (int h = 0; h < count; ++h) {
        const std::span<double> x = head(rows[position], h, heads_of(layer).length);
        if (norm && !whole) f_.normalize(x, *norm);
        if (is_rotated(layer)) rotary_.rotate(rotation, static_cast<double>(position), x);
        if (is_rotated(layer) && llama4_) f_.normalize(x, Vector(x.size(), 1.0));
      }
    }
  }

  Rotation rotation_of(int layer) const {
    // Gemma 3's windowed layers have a base of their own and are never scaled.
    const bool local = (f_.architecture == "gemma3" || gemma4_) && is_windowed(layer);
    const double base =
        local ? f_.real("rope.freq_base_swa", 10000) : f_.real("rope.freq_base", 10000);
    const bool is_scaled = !local && !(f_.architecture == "olmo2" && is_windowed(layer));
    return rotary_.rotation(heads_of(layer).rotated, base, is_scaled);
  }

  const OracleFile f_;
  const OracleRotary rotary_;
  std::vector<int> query_heads_, kv_heads_, head_dims_;  // of each layer
  int window_ = 0;
  std::vector<bool> windowed_;  // of Gemma 4, each layer
  bool gemma_ = false, gemma4_ = false, gpt_oss_ = false, llama4_ = false;
  double attention_cap_ = 0;
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
