#include "evaluate/roofline.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/timer.h"
#include "decode/sampler.h"
#include "evaluate/workload.h"

namespace tessera {
namespace {

double reading_seconds(const Work& work, const Peaks& peaks) {
  return work.memory_bytes / peaks.read_bytes_per_second;
}
double arithmetic_seconds(const Work& work, const Peaks& peaks) {
  return work.dot_macs / peaks.dot_macs_per_second + work.float_macs / peaks.fma_macs_per_second;
}

Peaks best_of(const Peaks& a, const Peaks& b) {
  return {std::max(a.read_bytes_per_second, b.read_bytes_per_second),
          std::max(a.dot_macs_per_second, b.dot_macs_per_second),
          std::max(a.fma_macs_per_second, b.fma_macs_per_second)};
}

// Of one of `steps` equal steps.
Phase make_phase(double seconds, std::vector<OperationProfile> operations,
                 const ParallelTime& before, const ParallelTime& after, int steps) {
  Phase phase;
  phase.seconds = seconds / steps;
  OperationProfile rest;
  rest.name = "everything else";  // embeddings, bookkeeping, the clocks themselves
  rest.calls = 1;
  rest.seconds = phase.seconds;
  for (OperationProfile& operation : operations) {
    operation.calls /= steps;
    operation.seconds /= steps;
    operation.work = operation.work.of_one(steps);
    rest.seconds -= operation.seconds;
  }
  std::ranges::stable_sort(operations, std::ranges::greater(), &OperationProfile::seconds);
  rest.seconds = std::max(0.0, rest.seconds);
  operations.push_back(std::move(rest));
  phase.operations = std::move(operations);
  phase.parallel = {.sections = (after.sections - before.sections) / steps,
                    .seconds = (after.seconds - before.seconds) / steps,
                    .waiting = (after.waiting - before.waiting) / steps,
                    .idle = (after.idle - before.idle) / steps};
  return phase;
}

// Runs phases on one model.
class Runner {
 public:
  Runner(Model& model, ProfilingBackend& backend, Meter& meter, const BenchOptions& options)
      : backend_(backend),
        meter_(meter),
        options_(options),
        workload_(model, std::max(context_of(options, model), 1), options.kv_format) {
    if (options.depth > 0) workload_.read(0, options.depth, model.limits().rows);
  }

  // `tokens` in all, `rows` in each forward pass; `steps` of them are reported as one.
  Phase run(int tokens, int rows, bool all_logits, int steps) {
    std::vector<Phase> repetitions;
    repeat(tokens, rows, all_logits);  // warms caches and touches memory
    for (int i = 0; i < std::max(1, options_.repetitions); ++i) {
      backend_.reset();
      const ParallelTime before = meter_.parallel_time();
      const Timer timer;
      repeat(tokens, rows, all_logits);
      const double seconds = timer.seconds();
      repetitions.push_back(
          make_phase(seconds, backend_.operations(), before, meter_.parallel_time(), steps));
    }
    const auto median = repetitions.begin() + static_cast<ptrdiff_t>(repetitions.size() / 2);
    std::ranges::nth_element(repetitions, median, {}, &Phase::seconds);
    return std::move(*median);
  }

 private:
  void repeat(int tokens, int rows, bool all_logits) {
    workload_.read(options_.depth, tokens, rows,
                   all_logits ? Reader::Logits::kAll : Reader::Logits::kLast,
                   [&](HostRows logits, int first) { sample(logits, first); });
  }

  void sample(HostRows logits, int first) {
    const auto columns = static_cast<size_t>(logits.columns);
    const Work work{.activation_bytes = sizeof(float) * static_cast<double>(columns) * logits.rows};
    backend_.record("sampling", work, [&] {
      for (int r = 0; r < logits.rows; ++r) {
        const auto before = workload_.tokens().first(static_cast<size_t>(first + r + 1));
        sampler_.choose(logits.row(r), before, before.size());
      }
    });
  }

  ProfilingBackend& backend_;
  Meter& meter_;
  const BenchOptions& options_;
  Workload workload_;
  Sampler sampler_{SamplingOptions{}};
};

}  // namespace

double limit_seconds(const Work& work, const Peaks& peaks) {
  return std::max(reading_seconds(work, peaks), arithmetic_seconds(work, peaks));
}
bool bound_by_reading(const Work& work, const Peaks& peaks) {
  return reading_seconds(work, peaks) >= arithmetic_seconds(work, peaks);
}

Work Phase::work() const {
  Work sum;
  for (const OperationProfile& operation : operations) sum += operation.work;
  return sum;
}

const Phase* Roofline::decode() const {
  const auto found = std::ranges::find(phases, "decode", &Phase::name);
  return found == phases.end() ? nullptr : &*found;
}

Roofline run_roofline(Model& model, ProfilingBackend& backend, Meter& meter,
                      const BenchOptions& options,
                      const std::function<void(const std::string&)>& on_phase) {
  Roofline roofline;
  roofline.machine = backend.description();
  roofline.weight_bytes = static_cast<double>(model.weight_bytes());
  roofline.depth = options.depth;
  roofline.kv_format = options.kv_format;
  const auto measure_peaks = [&] {
    roofline.peaks = best_of(roofline.peaks, meter.measure_peaks());
  };

  Runner runner(model, backend, meter, options);
  const auto add = [&](std::string name, int tokens_of_step, int steps, int rows, bool all_logits) {
    if (on_phase) on_phase(name);
    meter.time_sections(true);
    Phase phase = runner.run(tokens_of_step * steps, rows, all_logits, steps);
    meter.time_sections(false);
    phase.name = std::move(name);
    phase.tokens = tokens_of_step;
    roofline.phases.push_back(std::move(phase));
  };
  measure_peaks();
  for (const int n : options.generate) add("decode", 1, n, 1, false);
  measure_peaks();
  for (const int n : options.verify) add(fmt::format("verify {}", n), n, kVerifySteps, n, true);
  measure_peaks();
  for (const int n : options.prompt) {
    add(fmt::format("prompt {}", n), n, 1, model.limits().rows, false);
  }
  measure_peaks();
  return roofline;
}

}  // namespace tessera
