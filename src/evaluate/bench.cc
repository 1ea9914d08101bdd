#include "evaluate/bench.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"
#include "evaluate/workload.h"

namespace tessera {
namespace {

template <typename Body>
BenchResult measure(std::string name, int tokens, int repetitions, Body body) {
  body();  // warms caches and touches memory
  std::vector<double> rates;
  for (int i = 0; i < std::max(1, repetitions); ++i) {
    const Timer timer;
    body();
    rates.push_back(tokens / timer.seconds());
  }
  std::ranges::sort(rates);
  return {.name = std::move(name),
          .tokens = tokens,
          .tokens_per_second = rates[rates.size() / 2],
          .slowest = rates.front(),
          .fastest = rates.back()};
}

}  // namespace

int context_of(const BenchOptions& options, const Model& model) {
  int longest = 0;
  for (const int n : options.prompt) longest = std::max(longest, n);
  for (const int n : options.generate) longest = std::max(longest, n);
  for (const int n : options.verify) {
    if (n > model.limits().wanted_rows)
      fail("a step of {} tokens is too long, at most {}", n, model.limits().wanted_rows);
    longest = std::max(longest, n * kVerifySteps);
  }
  longest += options.depth;
  if (longest > model.config().context) {
    fail("the benchmark needs a context of {} tokens, the model has {}", longest,
         model.config().context);
  }
  return longest;
}

std::vector<BenchResult> run_bench(Model& model, const BenchOptions& options,
                                   const std::function<void(const BenchResult&)>& on_result) {
  Workload workload(model, std::max(context_of(options, model), 1), options.kv_format);
  const int depth = options.depth, rows = model.limits().rows;
  if (depth > 0) workload.read(0, depth, rows);
  std::vector<BenchResult> results;
  const auto add = [&](const std::string& kind, int n, int tokens, auto body) {
    const std::string suffix = depth > 0 ? fmt::format("@{}", depth) : "";
    results.push_back(
        measure(fmt::format("{}{}{}", kind, n, suffix), tokens, options.repetitions, body));
    if (on_result) on_result(results.back());
  };
  for (const int n : options.prompt) add("pp", n, n, [&] { workload.read(depth, n, rows); });
  for (const int n : options.generate) add("tg", n, n, [&] { workload.read(depth, n, 1); });
  for (const int n : options.verify) {
    add("verify", n, n * kVerifySteps,
        [&] { workload.read(depth, n * kVerifySteps, n, Reader::Logits::kAll); });
  }
  return results;
}

}  // namespace tessera
