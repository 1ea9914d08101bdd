#include "evaluate/bench.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"
#include "decode/random.h"
#include "model/flat_context.h"

namespace tessera {
namespace {

// A context that can be filled and rewound.
class Bench {
 public:
  Bench(Model& model, int tokens, KvFormat format)
      : model_(model), context_(model, tokens, format), tokens_(tokens) {
    for (int i = 0; i < tokens; ++i) {
      tokens_[i] = static_cast<Token>(philox({static_cast<uint32_t>(i), 0, 0, 0}, 0)[0] %
                                      model.config().vocabulary);
    }
  }

  // Reads `count` tokens from position `first` in steps of `rows`, with the logits of each step's
  // last row, or of all its rows.
  void read(int first, int count, int rows, bool all_logits = false) {
    for (int done = 0; done < count; done += rows) {
      const int n = std::min(rows, count - done);
      Batch batch;
      batch.add_chain(std::span(tokens_).subspan(first + done, n), first + done,
                      context_.block_table);
      for (int r = all_logits ? 0 : n - 1; r < n; ++r) batch.wanted.push_back(r);
      model_.forward(batch, *context_.kv);
    }
  }

 private:
  Model& model_;
  FlatContext context_;
  std::vector<Token> tokens_;
};

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

std::vector<BenchResult> run_bench(Model& model, const BenchOptions& options,
                                   const std::function<void(const BenchResult&)>& on_result) {
  constexpr int kVerifySteps = 16;  // steps that one repetition of verify<N> times
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

  Bench bench(model, std::max(longest, 1), options.kv_format);
  const int depth = options.depth, rows = model.limits().rows;
  if (depth > 0) bench.read(0, depth, rows);
  std::vector<BenchResult> results;
  const auto add = [&](const std::string& kind, int n, int tokens, auto body) {
    const std::string suffix = depth > 0 ? fmt::format("@{}", depth) : "";
    results.push_back(
        measure(fmt::format("{}{}{}", kind, n, suffix), tokens, options.repetitions, body));
    if (on_result) on_result(results.back());
  };
  for (const int n : options.prompt) add("pp", n, n, [&] { bench.read(depth, n, rows); });
  for (const int n : options.generate) add("tg", n, n, [&] { bench.read(depth, n, 1); });
  for (const int n : options.verify) {
    add("verify", n, n * kVerifySteps, [&] { bench.read(depth, n * kVerifySteps, n, true); });
  }
  return results;
}

}  // namespace tessera
