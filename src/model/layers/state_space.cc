#include "model/layers/state_space.h"

#include <array>
#include <cmath>

#include "model/layers/recurrence.h"

namespace tessera {

StateSpace::StateSpace(const Config& config, int layer, Workspace& workspace)
    : config_(config), layer_(layer) {
  RecurrenceRows::reserve(workspace, config, shape(), input_columns());
  if (shape().beside) workspace.reserve(Workspace::kParallel, config.embedding);
}

void StateSpace::for_each_tensor(TensorVisitor& visit) {
  using enum TensorRole;
  using enum TensorVisitor::Presence;
  const RecurrentConfig& s = shape();
  const int embedding = config_.embedding, values = s.values();
  norm_.tell(visit, config_, kAttentionNorm, kAttentionNormBias, embedding);
  visit.matrix("recurrent input", {{kRecurrentInput, input_columns()}}, embedding, input_);
  visit.filter({kRecurrentFilter, s.channels}, s.taps, filter_);
  visit.vector({{kRecurrentFilterBias, s.channels}}, kOptional, filter_bias_);
  visit.values({kRecurrentDecay, s.heads}, kRequired, decay_);
  visit.values({kRecurrentStepBias, s.heads}, kRequired, step_bias_);
  visit.values({kRecurrentSkip, s.heads}, kRequired, skip_);
  const int groups = s.key_heads, group = values / groups;
  group_norms_.resize(static_cast<size_t>(groups));
  for (int i = 0; i < groups; ++i)
    visit.vector({{kRecurrentNorm, values, i * group, group}}, s.beside ? kOptional : kRequired,
                 group_norms_[static_cast<size_t>(i)]);
  visit.matrix("recurrent output", {{kRecurrentOutput, embedding}}, values, output_);
}

// From steps as they come out of the matrix; the decays come first.
void StateSpace::find_steps(const Step& step, Tensor input, Tensor decays_and_steps) const {
  const auto heads = static_cast<size_t>(shape().heads);
  step.backend.on_host(std::span(&input, 1), decays_and_steps,
                       [&](std::span<const HostRows> inputs, HostTensor out) {
                         for (int r = 0; r < out.rows; ++r) {
                           const auto row = inputs[0].row(r);
                           for (size_t head = 0; head < heads; ++head) {
                             const double width = softplus(row[head] + double{step_bias_[head]});
                             out.row(r)[head] = static_cast<float>(std::exp(decay_[head] * width));
                             out.row(r)[heads + head] = static_cast<float>(width);
                           }
                         }
                       });
}

// What of the values goes past the state.
void StateSpace::skip(const Step& step, Tensor values, Tensor out) const {
  const auto value_dim = static_cast<size_t>(shape().value_dim);
  const std::array<Tensor, 2> both = {values, out};
  step.backend.on_host(both, out, [&](std::span<const HostRows> inputs, HostTensor into) {
    for (int r = 0; r < into.rows; ++r) {
      const auto value = inputs[0].row(r), sum = inputs[1].row(r);
      for (size_t i = 0; i < value.size(); ++i)
        into.row(r)[i] = sum[i] + skip_[i / value_dim] * value[i];
    }
  });
}

void StateSpace::read(const Step& step, Tensor x) const {
  answer(step, x, step.take(Workspace::kParallel, config_.embedding));
}

void StateSpace::forward(const Step& step, Tensor x) const {
  const Tensor answered =
      step.take(shape().beside ? Workspace::kParallel : Workspace::kHidden, config_.embedding);
  if (!shape().beside) answer(step, x, answered);
  step.backend.add(answered, x);
}

void StateSpace::answer(const Step& step, Tensor x, Tensor into) const {
  Backend& b = step.backend;
  const RecurrentConfig& s = shape();
  const int values = s.values(), keys = s.keys();
  const auto [h, input, vkq, steps, out] = RecurrenceRows::take(step, config_, s, input_columns());
  norm_.apply(b, config_, x, h);
  if (!s.beside) step.show(layer_, TapPoint::kQkvInput, h);  // attention does
  step.linear(*input_, h, nullptr, input);
  b.convolve(step.kv, layer_, *filter_, filter_bias_.get(), step.rows,
             input.slice(values, s.channels), vkq);
  b.activate(Activation::kSilu, vkq);
  find_steps(step, input.slice(values + s.channels, s.heads), steps);
  b.recur(step.kv, {.layer = layer_, .delta_rule = false}, step.rows,
          {.queries = vkq.slice(values + keys, keys),
           .keys = vkq.slice(values, keys),
           .values = vkq.slice(0, values),
           .decays = steps.slice(0, s.heads),
           .rates = steps.slice(s.heads, s.heads)},
          out);
  skip(step, vkq.slice(0, values), out);
  b.gate(Activation::kSilu, input.slice(0, values), out);
  const int group = values / s.key_heads;
  for (size_t i = 0; i < group_norms_.size() && group_norms_[i] != nullptr; ++i) {
    const Tensor part = out.slice(static_cast<int>(i) * group, group);
    b.rms_norm(part, *group_norms_[i], config_.norm_epsilon, part);
  }
  step.show(layer_, TapPoint::kRecurrentOutputInput, out);
  step.linear(*output_, out, nullptr, into);
  if (config_.residual_scale != 1) b.scale_and_cap(config_.residual_scale, 0, into);
}

}  // namespace tessera
