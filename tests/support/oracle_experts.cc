#include "support/oracle_experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace tessera::oracle {
namespace {

Rows shared_expert(const OracleFile& f, const std::string& prefix, const Rows& x) {
  Rows hidden = f.linear(x, prefix + "ffn_gate_shexp.weight");
  const Rows up = f.linear(x, prefix + "ffn_up_shexp.weight");
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < hidden[t].size(); ++i) hidden[t][i] = silu(hidden[t][i]) * up[t][i];
  }
  return f.linear(hidden, prefix + "ffn_down_shexp.weight");
}
// The best expert reads the row, scaled by a sigmoid of its score; all rows visit another one.
Rows experts_of_llama4(const OracleFile& f, const std::string& prefix, const Rows& x) {
  const Rows scores = f.linear(x, prefix + "ffn_gate_inp.weight");
  Rows result = shared_expert(f, prefix, x);
  for (size_t t = 0; t < x.size(); ++t) {
    const auto best = std::max_element(scores[t].begin(), scores[t].end());
    const auto e = static_cast<size_t>(best - scores[t].begin());
    Rows read = {x[t]};
    scale(read, 1 / (1 + std::exp(-*best)));
    Rows hidden = f.expert(read, prefix + "ffn_gate_exps.weight", e);
    const Rows up = f.expert(read, prefix + "ffn_up_exps.weight", e);
    for (size_t i = 0; i < hidden[0].size(); ++i) hidden[0][i] = silu(hidden[0][i]) * up[0][i];
    const Rows y = f.expert(hidden, prefix + "ffn_down_exps.weight", e);
    for (size_t i = 0; i < y[0].size(); ++i) result[t][i] += y[0][i];
  }
  return result;
}

}  // namespace

// A mixture: softmax over all experts' scores, the best few weighed by it (in Mixtral and Qwen 3
// so that their weights add up to 1); Qwen 2 adds an expert that all visit, weighed by a sigmoid.
Rows experts(const OracleFile& f, const std::string& prefix, const Rows& x) {
  const bool is_gpt_oss = f.architecture == "gpt-oss";
  if (f.architecture == "llama4") return experts_of_llama4(f, prefix, x);
  const int used = f.integer("expert_used_count");
  const bool normalized = !f.is_any_of({"qwen2moe", "olmoe"});
  const Rows scores = f.linear(x, prefix + "ffn_gate_inp.weight");
  Rows result(x.size(), Vector(static_cast<size_t>(f.embedding)));
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
      Rows hidden = f.expert({x[t]}, prefix + "ffn_gate_exps.weight", e);
      const Rows up = f.expert({x[t]}, prefix + "ffn_up_exps.weight", e);
      for (size_t i = 0; i < hidden[0].size(); ++i) {
        double& gate = hidden[0][i];
        gate = is_gpt_oss ? clamped_silu(gate, up[0][i]) : silu(gate) * up[0][i];
      }
      const Rows y = f.expert(hidden, prefix + "ffn_down_exps.weight", e);
      for (size_t i = 0; i < y[0].size(); ++i)
        result[t][i] += p[e] / (normalized ? chosen : all) * y[0][i];
    }
  }
  if (f.file.find_tensor(prefix + "ffn_gate_shexp.weight") == nullptr) return result;
  Rows shared = shared_expert(f, prefix, x);
  const Vector weight = f.read_vector(prefix + "ffn_gate_inp_shexp.weight");
  for (size_t t = 0; t < x.size(); ++t) {
    for (double& value : shared[t]) value /= 1 + std::exp(-dot(weight, x[t]));
  }
  add(result, shared);
  return result;
}

// Gemma 4's, of the stream: the router has a norm of its own, and what an expert says a scale.
Rows experts_of_gemma4(const OracleFile& f, const std::string& prefix, const Rows& x) {
  const Rows read = f.normalize(x, prefix + "pre_ffw_norm_2.weight");
  const Vector scales = f.read_vector(prefix + "ffn_down_exps.scale");
  Rows scores = x;
  const Vector weight = f.read_vector(prefix + "ffn_gate_inp.scale");
  for (Vector& row : scores) f.normalize(row, weight);
  scale(scores, 1 / std::sqrt(static_cast<double>(f.embedding)));
  scores = f.linear(scores, prefix + "ffn_gate_inp.weight");
  Rows result(x.size(), Vector(static_cast<size_t>(f.embedding)));
  for (size_t t = 0; t < x.size(); ++t) {
    std::vector<size_t> order(scores[t].size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return scores[t][a] > scores[t][b]; });
    order.resize(static_cast<size_t>(f.integer("expert_used_count")));
    double all = 0;
    for (const size_t e : order) all += std::exp(scores[t][e]);
    for (const size_t e : order) {
      const Vector both = f.expert({read[t]}, prefix + "ffn_gate_up_exps.weight", e)[0];
      Rows hidden(1, Vector(both.size() / 2));
      for (size_t i = 0; i < hidden[0].size(); ++i)
        hidden[0][i] = gelu(both[i]) * both[i + hidden[0].size()];
      const Rows y = f.expert(hidden, prefix + "ffn_down_exps.weight", e);
      for (size_t i = 0; i < y[0].size(); ++i)
        result[t][i] += std::exp(scores[t][e]) / all * scales[e] * y[0][i];
    }
  }
  return result;
}

}  // namespace tessera::oracle
