// Where the time of each phase of inference goes, beside what the machine's limits ask for
// (the roofline model: Williams, Waterman & Patterson 2009).
//
// The limit of an operation is the longer of
//   reading:    weights, keys and values, each once, at the measured read bandwidth
//   arithmetic: its int8 and f32 multiply-adds at their measured peaks, one after the other
// and "percent of the limit" is limit / measured time. Activations do not count: they may stay in
// caches, or never be stored. Weights that stay in a cache between steps can exceed 100 %.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backend/meter.h"
#include "evaluate/bench.h"
#include "evaluate/profile.h"

namespace tessera {

double limit_seconds(const Work& work, const Peaks& peaks);
// Whether the limit is reading, not arithmetic.
bool bound_by_reading(const Work& work, const Peaks& peaks);

// All figures are of one step: of one token, of N at once, or of a whole prompt.
struct Phase {
  std::string name;  // "decode", "verify 8", "prompt 512"
  int tokens = 0;    // of a step
  double seconds = 0;
  std::vector<OperationProfile> operations;  // the longest first, then "everything else"
  ParallelTime parallel;                     // part of the operations' time, not beside it

  Work work() const;  // of all operations
  double tokens_per_second() const { return tokens / seconds; }
};

struct Roofline {
  std::string machine;  // Backend::description()
  Peaks peaks;          // the best seen before, between and after the phases
  double weight_bytes = 0;
  int depth = 0;  // tokens in the context before each phase
  KvFormat kv_format = KvFormat::kF16;
  std::vector<Phase> phases;

  const Phase* decode() const;  // nullptr if it was not run
};

// Runs options.generate, .verify and .prompt, each several times; a phase is its repetition of
// median time. `backend` is the model's, `meter` measures what it runs on. `on_phase(name)` is
// called before each.
Roofline run_roofline(Model& model, ProfilingBackend& backend, Meter& meter,
                      const BenchOptions& options,
                      const std::function<void(const std::string&)>& on_phase = {});

// A table for each phase, at most `width` columns wide; without bars if they would not fit.
std::string to_text(const Roofline& roofline, int width);
// A picture of the same: a self-contained SVG file, for light and dark backgrounds.
std::string to_svg(const Roofline& roofline, const std::string& title);

}  // namespace tessera
