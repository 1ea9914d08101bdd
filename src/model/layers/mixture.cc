#include "model/layers/mixture.h"

#include <algorithm>
#include <cmath>

namespace tessera {

Mixture::Mixture(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer), experts_(config.layers[layer].experts.count) {
  workspace.reserve(Workspace::kHidden, config.embedding);
  workspace.reserve(Workspace::kScores, shape().count);
  workspace.reserve(Workspace::kVisitors, std::max(config.embedding, shape().latent));
  workspace.reserve(Workspace::kGated, std::max(shape().feed_forward, shape().shared));
  workspace.reserve(Workspace::kAnswers, shape().used * width());
  workspace.reserve(Workspace::kLatent, shape().latent);
}

void Mixture::for_each_tensor(TensorVisitor& visit) {
  using enum TensorVisitor::Presence;
  using enum TensorRole;
  const Architecture& family = *config_.architecture;
  const int embedding = config_.embedding, shared = shape().shared;
  visit.vector({family.experts_beside_dense ? kExpertsNorm : family.feed_forward_norm, embedding},
               norm_);
  if (family.experts_beside_dense) visit.vector({kRouterScale, embedding}, router_norm_);
  visit.matrix("router", {{kRouter, shape().count}}, embedding, router_);
  if (family.expert_biases) visit.vector({kRouterBias, shape().count}, router_bias_);
  visit.values({kRouterCorrection, shape().count}, kOptional, correction_);
  visit.values({kExpertsDownScale, shape().count}, kOptional, scales_);
  if (const int latent = shape().latent; latent > 0) {
    visit.matrix("experts' latent down", {{kExpertsLatentDown, latent}}, embedding, latent_down_);
    visit.matrix("experts' latent up", {{kExpertsLatentUp, embedding}}, latent, latent_up_);
  }
  tell_experts(visit);
  if (shared == 0) return;
  if (family.shared_expert_gate)
    visit.matrix("shared expert's weight", {{kSharedExpertRouter, 1}}, embedding, shared_router_);
  if (family.gated) {
    visit.matrix("gate, up", {{kSharedExpertGate, shared}, {kSharedExpertUp, shared}}, embedding,
                 shared_.gate_up);
  } else {
    visit.matrix("up", {{kSharedExpertUp, shared}}, embedding, shared_.gate_up);
  }
  visit.matrix("down", {{kSharedExpertDown, embedding}}, shared, shared_.down);
}

void Mixture::tell_experts(TensorVisitor& visit) {
  using enum TensorVisitor::Presence;
  using enum TensorRole;
  const int n = shape().feed_forward;
  for (int e = 0; e < shape().count; ++e) {
    Expert& expert = experts_[static_cast<size_t>(e)];
    const int all = shape().count * n;
    if (shape().fused_gate_up) {
      const StoredRows gate = {kExpertsGateUp, 2 * all, 2 * e * n, n, 2 * n};
      visit.matrix("experts' gate, up", {gate, {gate.role, gate.rows, gate.first + n, n, 2 * n}},
                   width(), expert.gate_up);
    } else if (config_.architecture->gated) {
      visit.matrix("experts' gate, up",
                   {{kExpertsGate, all, e * n, n}, {kExpertsUp, all, e * n, n}}, width(),
                   expert.gate_up);
    } else {
      visit.matrix("experts' up", {{kExpertsUp, all, e * n, n}}, width(), expert.gate_up);
    }
    visit.matrix("experts' down", {{kExpertsDown, shape().count * width(), e * width(), width()}},
                 n, expert.down);
    if (!config_.architecture->expert_biases) continue;
    visit.vector({{kExpertsGateBias, all, e * n, n}, {kExpertsUpBias, all, e * n, n}}, kRequired,
                 expert.gate_up_bias);
    visit.vector({{kExpertsDownBias, shape().count * width(), e * width(), width()}}, kRequired,
                 expert.down_bias);
  }
}

std::vector<ChosenExpert> Mixture::choose(const Step& step, Tensor x, Tensor h) const {
  Backend& b = step.backend;
  const Tensor scores = step.take(Workspace::kScores, shape().count);
  const Tensor input = router_norm_ ? step.take(Workspace::kVisitors, config_.embedding) : h;
  if (router_norm_) b.rms_norm(x, *router_norm_, config_.norm_epsilon, input);
  step.linear(*router_, input, router_bias_.get(), scores);
  if (router_norm_)  // whose weight is of an input of length 1
    b.scale_and_cap(1 / std::sqrt(static_cast<float>(config_.embedding)), 0, scores);
  const HostRows rows = b.download(scores);
  const auto used = static_cast<size_t>(shape().used);
  std::vector<ChosenExpert> chosen(static_cast<size_t>(rows.rows) * used);
  for (int r = 0; r < rows.rows; ++r) {
    choose_experts(config_.routing, rows.row(r), correction_,
                   std::span(chosen).subspan(static_cast<size_t>(r) * used, used));
  }
  for (ChosenExpert& one : chosen) {
    if (!scales_.empty()) one.weight *= scales_[static_cast<size_t>(one.expert)];
  }
  return chosen;
}

void Mixture::visit(const Step& step, const Expert& expert, TapPlace input, TapPlace down_input,
                    Tensor h, Tensor out) const {
  Backend& b = step.backend;
  const Activation activation = config_.architecture->activation;
  const Tensor inner = step.take(Workspace::kGated, expert.down->columns).top(h.rows);
  step.show(layer_, input, h);
  if (config_.architecture->gated) {
    b.linear_gated(*expert.gate_up, h, expert.gate_up_bias.get(), activation, inner);
  } else {
    b.linear(*expert.gate_up, h, expert.gate_up_bias.get(), inner);
    b.activate(activation, inner);
  }
  step.show(layer_, down_input, inner);
  b.linear(*expert.down, inner, expert.down_bias.get(), out);
}

void Mixture::visit(const Step& step, int expert, Tensor h, Tensor out) const {
  visit(step, experts_[static_cast<size_t>(expert)], {TapPoint::kExpertInput, expert},
        {TapPoint::kExpertDownInput, expert}, h, out);
}

void Mixture::forward(const Step& step, Tensor x) const {
  step.backend.add(answer(step, x), x);
}

Tensor Mixture::answer(const Step& step, Tensor x) const {
  Backend& b = step.backend;
  const int used = shape().used;
  const Tensor h = step.take(Workspace::kHidden, config_.embedding),
               visitors = step.take(Workspace::kVisitors, width()),
               answers = step.take_several(Workspace::kAnswers, used, width());
  b.rms_norm(x, *norm_, config_.norm_epsilon, h);
  const std::vector<ChosenExpert> chosen = choose(step, x, h);
  const Tensor read = latent_down_ == nullptr ? h : step.take(Workspace::kLatent, width());
  if (latent_down_ != nullptr) step.linear(*latent_down_, h, nullptr, read);
  const ExpertRows sorted = sort_by_expert(chosen, used, shape().count);
  for (size_t e = 0; e < experts_.size(); ++e) {
    if (sorted.first[e] == sorted.first[e + 1]) continue;
    b.prefetch(*experts_[e].gate_up);
    b.prefetch(*experts_[e].down);
  }
  for (size_t e = 0; e < experts_.size(); ++e) {
    const int first = sorted.first[e], count = sorted.first[e + 1] - first;
    if (count == 0) continue;
    const Tensor out = answers.middle(first, count);
    const bool weighs = config_.architecture->weighs_inputs;
    if (count == h.rows && !weighs) {
      visit(step, static_cast<int>(e), read, out);
      continue;
    }
    b.gather_rows(read, std::span(sorted.rows).subspan(first, count), visitors.top(count));
    if (weighs) weigh(step, chosen, sorted, first, visitors.top(count));
    visit(step, static_cast<int>(e), visitors.top(count), out);
  }
  add_up(step, h, chosen, sorted);
  return h;
}

void Mixture::weigh(const Step& step, std::span<const ChosenExpert> chosen,
                    const ExpertRows& sorted, int first, Tensor visitors) const {
  std::vector<float> weights(static_cast<size_t>(visitors.rows));
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int place = sorted.places[i] - first;
    if (place >= 0 && place < visitors.rows) weights[static_cast<size_t>(place)] = chosen[i].weight;
  }
  step.backend.on_host(
      std::span(&visitors, 1), visitors, [&](std::span<const HostRows> inputs, HostTensor out) {
        for (int r = 0; r < out.rows; ++r) {
          const float weight = weights[static_cast<size_t>(r)];
          std::ranges::transform(inputs[0].row(r), out.row(r), [&](float v) { return weight * v; });
        }
      });
}

// h, the normalized rows, becomes what the experts make of them. Answers in a latent are added up
// there, so that one product takes them back.
void Mixture::add_up(const Step& step, Tensor h, std::span<const ChosenExpert> chosen,
                     const ExpertRows& sorted) const {
  Backend& b = step.backend;
  const int used = shape().used;
  std::vector<Tensor> inputs = {step.take_several(Workspace::kAnswers, used, width())};
  const Tensor shared = step.take(Workspace::kVisitors, config_.embedding);
  if (shared_.down != nullptr)
    visit(step, shared_, TapPoint::kSharedInput, TapPoint::kSharedDownInput, h, shared);
  if (shared_.down != nullptr && latent_up_ == nullptr) {
    inputs.push_back(shared);
    if (shared_router_ != nullptr) {
      inputs.push_back(step.take(Workspace::kScores, 1));
      step.linear(*shared_router_, h, nullptr, inputs.back());
    }
  }
  const Tensor into = latent_up_ == nullptr ? h : step.take(Workspace::kLatent, width());
  b.on_host(inputs, into, [&](std::span<const HostRows> values, HostTensor out) {
    for (int r = 0; r < out.rows; ++r) {
      const std::span<float> sum(out.row(r), static_cast<size_t>(out.columns));
      std::ranges::fill(sum, 0.0f);
      const auto add = [sum](float weight, std::span<const float> answer) {
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * answer[i];
      };
      for (int c = 0; c < used; ++c) {
        const auto i = static_cast<size_t>(r * used + c);
        add(config_.architecture->weighs_inputs ? 1.0f : chosen[i].weight,
            values[0].row(sorted.places[i]));
      }
      if (values.size() > 1) {
        const float score = values.size() > 2 ? values[2].row(r)[0] : 0.0f;
        add(values.size() > 2 ? 1 / (1 + std::exp(-score)) : 1.0f, values[1].row(r));
      }
    }
  });
  if (latent_up_ == nullptr) return;
  step.linear(*latent_up_, into, nullptr, h);
  if (shared_.down != nullptr) b.add(shared, h);
}

}  // namespace tessera
