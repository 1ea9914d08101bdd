#include "train/training.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "decode/random.h"
#include "train/state_file.h"

namespace tessera::train {
namespace {

// As many from the first on as one pass takes.
std::span<const Example> some_of(std::span<const Example> examples, size_t first, int most_rows) {
  int rows = 0;
  size_t end = first;
  while (end < examples.size() && (end == first || rows + examples[end].rows() <= most_rows))
    rows += examples[end++].rows();
  return examples.subspan(first, end - first);
}

}  // namespace

double mean_loss(Objective& objective, std::span<const Example> examples, int rows) {
  double sum = 0, counting = 0;
  for (size_t first = 0; first < examples.size();) {
    const auto some = some_of(examples, first, rows);
    sum += objective.loss(some);
    for (const Example& example : some) counting += example.counting();
    first += some.size();
  }
  return sum / counting;
}

Training::Training(Objective& objective, ThreadPool& pool, Learned& learned, const Data& data,
                   int rows, TrainingOptions options, std::string identity)
    : objective_(objective),
      pool_(pool),
      learned_(learned),
      data_(data),
      rows_(rows),
      options_(options),
      identity_(std::move(identity)),
      adamw_(learned.parameters(), options.adamw) {}

void Training::evaluate_held_out() {
  if (!data_.held_out.empty()) curve_.held_out.push_back({step_, evaluate(data_.held_out)});
}

// Fisher & Yates, drawn from the seed and the epoch.
const std::vector<uint32_t>& Training::order_of(uint64_t epoch) {
  if (!order_.empty() && epoch_ == epoch) return order_;
  epoch_ = epoch;
  order_.resize(data_.learned.size());
  std::iota(order_.begin(), order_.end(), 0u);
  for (uint32_t left = static_cast<uint32_t>(order_.size()); left > 1; --left) {
    const auto low = static_cast<uint32_t>(epoch), high = static_cast<uint32_t>(epoch >> 32);
    const uint64_t word = philox({left, low, high, 0}, options_.seed)[0];
    std::swap(order_[left - 1], order_[word * left >> 32]);
  }
  return order_;
}

double Training::step(int* tokens) {
  if (options_.before_step) options_.before_step(step_);
  const auto parameters = learned_.parameters();
  const size_t count = data_.learned.size();
  std::vector<Example> batch;
  int counting = 0;
  for (int i = 0; i < options_.batch; ++i) {
    const uint64_t number = static_cast<uint64_t>(step_) * static_cast<uint64_t>(options_.batch) +
                            static_cast<uint64_t>(i);
    batch.push_back(data_.learned[order_of(number / count)[number % count]]);
    counting += batch.back().counting();
  }
  double sum = 0;
  for (size_t first = 0; first < batch.size();) {
    const auto some = some_of(batch, first, rows_);
    sum += objective_.differentiate(some, 1.0f / static_cast<float>(counting));
    first += some.size();
  }
  const double loss = sum / counting;
  keep_zeros(parameters, pool_);
  const double length = clip(pool_, parameters, options_.clip);
  if (!std::isfinite(loss) || !std::isfinite(length)) {
    fail("step {}: the {} is no number; a lower rate than {} may help", step_ + 1,
         std::isfinite(loss) ? "gradient" : "loss", options_.schedule.rate);
  }
  adamw_.step(pool_, options_.schedule.rate_at(step_));
  ++step_;
  *tokens = counting;
  return loss;
}

void Training::run(const std::filesystem::path& state, const GoesOn& goes_on) {
  const auto is_due = [](int every, int step) { return every > 0 && step % every == 0; };
  int saved = step_;
  if (step_ == 0 && curve_.held_out.empty()) evaluate_held_out();
  while (!is_done()) {
    int tokens = 0;
    double loss = 0;
    try {
      loss = step(&tokens);
    } catch (const Error& error) {
      if (saved == 0) throw;
      fail("{}; the state of step {} is in '{}'", error.what(), saved,
           printable(state.string(), 400));
    }
    curve_.learned.push_back(static_cast<float>(loss));
    if (is_done() || is_due(options_.evaluate_every, step_)) evaluate_held_out();
    const bool stops = !goes_on(step_, loss, tokens);
    if (is_done() || stops || is_due(options_.save_every, step_)) {
      save(state);
      saved = step_;
    }
    if (stops) return;
  }
}

// In the order of the parameters, each behind its values.
std::vector<std::span<std::byte>> Training::memory() {
  const auto parameters = learned_.parameters();
  std::vector<std::span<std::byte>> all;
  for (size_t i = 0; i < parameters.size(); ++i) {
    all.push_back(std::as_writable_bytes(std::span(parameters[i]->values)));
    const auto optimizers = adamw_.memory(i);
    all.insert(all.end(), optimizers.begin(), optimizers.end());
  }
  return all;
}

void Training::save(const std::filesystem::path& path) {
  write_state({.identity = identity_, .step = step_, .curve = curve_}, memory(), path);
}

void Training::load(const std::filesystem::path& path) {
  TrainingState state = read_state(path);
  const std::string shown = printable(path.string(), 400);
  if (state.identity != identity_) {
    fail("'{}' is the state of another training: {}; this one is: {}", shown,
         printable(state.identity, 400), identity_);
  }
  if (state.step > options_.schedule.steps)
    fail("'{}' is of step {}, and there are {}", shown, state.step, options_.schedule.steps);
  read_memory(path, memory());
  for (Parameter* parameter : learned_.parameters()) parameter->has_changed = true;
  step_ = state.step;
  adamw_.set_steps(step_);
  curve_ = std::move(state.curve);
}

}  // namespace tessera::train
