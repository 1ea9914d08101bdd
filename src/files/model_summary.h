// The few facts of a model that people ask for first: `tessera show` and `tessera list`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace tessera {

// All text is the file's own: see printable() before it goes to a terminal.
struct ModelSummary {
  std::string name, architecture, license;  // empty: the file does not say
  uint64_t parameters = 0;
  uint64_t bytes = 0;                // of the tensors
  uint64_t file_bytes = 0;           // of all files
  std::string_view main_format;      // of the tensors, the one that holds most parameters
  std::optional<int64_t> file_type;  // what the file calls its mixture of formats
  std::optional<int64_t> context, embedding, layers;
  std::optional<std::string> chat_template;

  double bits_per_weight() const {
    return parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  }
};

// Error if a fact has the wrong type.
ModelSummary summarize(const Checkpoint& model);

}  // namespace tessera
