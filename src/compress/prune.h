// Structured pruning: whole layers, attention heads and neurons of the feed-forward networks go.
// What is left is an ordinary dense model, which is smaller and faster everywhere. (Pruning single
// weights is a method of quantization: methods/.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tessera {

struct PruneOptions {
  // Shares that go, in [0, 1): of the layers, of the query heads, of each feed-forward network.
  double layers = 0, heads = 0, neurons = 0;
  std::string calibration = {};  // a text that says what matters
  int calibration_chunks = 64;   // of the text, at most; 0: all of it
  int calibration_length = 512;  // tokens of each
  bool repair = true;            // let what stays make good for what goes
  bool overwrite = false;        // a file that is there already
  int threads = 0;               // 0: as many as the machine has
  std::function<void(double done, double total)> progress = {};  // layers
};

struct ModelShape {
  int layers = 0, heads = 0, kv_heads = 0, feed_forward = 0;
};

struct PruneSummary {
  ModelShape before, after;
  std::vector<int> dropped_layers = {};
  uint64_t bytes_before = 0, bytes_after = 0;
};

// Writes what is left of `source` as a GGUF file, in its formats, which appears under `out` only
// when it is complete.
//
// Layers go by block influence, the least first (ShortGPT, Men et al. 2024). Heads and neurons go
// by what they add to the residual stream: the mean square of their activations times the squared
// norm of their columns of the output matrix; equally many in each layer. Their output matrices
// are then refitted: least squares of what the whole matrix gave, under the Hessian of the inputs
// (as in Optimal Brain Surgeon, Hassibi and Stork 1993). Holds one layer in memory at a time, its
// Hessians and the text's activations. The result does not depend on the number of threads.
//
// Errors: nothing to cut, or too little for a single layer or head; a family whose layers take
// turns, or differ; a text too short; `out` being the source, or there already.
PruneSummary prune_file(const std::filesystem::path& source, const PruneOptions& options,
                        const std::filesystem::path& out);

}  // namespace tessera
