// Quantization: every matrix of a checkpoint is decoded and encoded again, by rounding to nearest
// or by a method that looks at what the matrix multiplies (methods/).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "compress/tensor_formats.h"
#include "formats/format.h"
#include "tessera/options.h"

namespace tessera {

// How large a file is to become; one of the two.
struct TargetSize {
  double bits_per_weight = 0;  // of all tensors of the file
  uint64_t bytes = 0;          // of the file

  explicit operator bool() const { return bits_per_weight > 0 || bytes > 0; }
};

struct QuantizeOptions {
  std::string format = "Q4_K_M";  // a recipe's name, see recipes.h
  bool pure = false;              // one format wherever it fits, no mixture
  // Of the matrices that these name, instead of the recipe's.
  std::vector<TensorFormat> tensor_formats = {};
  // Instead of a recipe: every other matrix gets the format that costs least, as measured, when all
  // may take so much. Of GGUF files.
  TargetSize target = {};
  bool overwrite = false;           // a file that is there already
  int threads = 0;                  // 0: as many as the machine has
  std::vector<LoraFile> lora = {};  // adapters to merge: W + scale * B A, before it is encoded
  std::string method = "rtn";       // methods/method.h
  std::string sparsity = {};        // of methods that prune: see parse_sparsity(); empty: 50%
  std::string sparsity_scope = {};  // of magnitude without a text: see parse_sparsity_scope()
  float damping = 0;  // of gptq and sparsegpt: see MethodOptions; 0: as many rows as there are say
  bool group_aware = false;  // of gptq: see MethodOptions::group_aware_order
  // An importance matrix (files/imatrix.h) for rounding to nearest; "": none.
  std::string imatrix = {};
  // A text whose activations say what matters; "": none, for methods that can do without.
  std::string calibration = {};
  // Instead of it: makes one, when all that can be refused has been.
  std::function<std::string()> write_calibration = {};
  int calibration_chunks = 64;   // of the text, at most; 0: all of it
  int calibration_length = 512;  // tokens of each
  // A folder that keeps what is done, for a run that goes on where this one was ended; "": nothing.
  // Of runs with a text. Gone when the file is written. Whatever decides the bytes of the file has
  // a line in run_description.cc.
  std::filesystem::path work = {};
  // Called between tensors with the source bytes that are done, and all of them.
  std::function<void(uint64_t done, uint64_t total)> progress = {};
};

struct QuantizedTensor {
  std::string name;
  const Format* from = nullptr;
  const Format* to = nullptr;
  const Format* wanted = nullptr;  // by the recipe; `to` differs if `columns` do not fit its blocks
  uint64_t columns = 0;
  uint64_t elements = 0, bytes_before = 0, bytes_after = 0;
  // ||encoded - source|| / ||source||, the source as it decodes; 0 where nothing changed.
  double relative_error = 0;
  // Rows that were taken over code for code (formats/same_grid.h), and how far their scales and
  // minimums were rounded at most, in steps.
  uint64_t kept_rows = 0;
  float rounding = 0;
};

struct QuantizeSummary {
  std::vector<QuantizedTensor> tensors;
  uint64_t bytes_before = 0, bytes_after = 0;  // of the tensors
  double bits_per_weight_before = 0, bits_per_weight_after = 0;
  std::string formats;  // of the matrices: see write_tensor_formats()
  bool by_target = false;
  // Of a target: what the predictions are expected to diverge by, in nats a token; 0 if no text
  // said so.
  double expected_divergence = 0;
};

// Is there something that a text has to tell, the method or the target size?
bool needs_text(const QuantizeOptions& options);

// Re-encodes `source` (any member of a split model will do) and writes one file, which appears
// under `out` only when it is complete. Holds one tensor in memory at a time; with a calibration
// text, a layer and the activations of the text. The result does not depend on the number of
// threads. Warns if what is encoded was quantized before: errors add up.
// Errors: unknown format or method; a text too short; a tensor to be re-encoded whose format cannot
// be decoded, or that holds NaN or infinity; `out` being one of the source files, or there already;
// anything that reading or writing can meet.
QuantizeSummary quantize_file(const std::filesystem::path& source, const QuantizeOptions& options,
                              const std::filesystem::path& out);

// A table of the tensors and the totals, for people. The totals tell of formats only where they
// were chosen for a target.
std::string describe(const QuantizeSummary& summary);
// The totals, and a line for each number of columns that did not fit the recipe's formats.
std::string describe_totals(const QuantizeSummary& summary);

}  // namespace tessera
