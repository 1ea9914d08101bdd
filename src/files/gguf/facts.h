// The metadata of a GGUF file under neutral names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/facts.h"
#include "files/gguf/metadata.h"

namespace tessera {

class GgufFacts : public Facts {
 public:
  explicit GgufFacts(GgufMetadata metadata);

  const GgufMetadata& metadata() const { return metadata_; }

  // "block_count" is "llama.block_count" in a file whose general.architecture is "llama".
  std::string key_of(std::string_view name) const override;
  std::optional<int64_t> get_int(std::string_view name) const override;
  std::optional<double> get_float(std::string_view name) const override;
  std::optional<std::string> get_string(std::string_view name) const override;
  std::optional<bool> get_bool(std::string_view name) const override;
  std::optional<std::vector<int64_t>> get_ints(std::string_view name) const override;
  std::optional<std::vector<bool>> get_bools(std::string_view name) const override;
  bool is_list(std::string_view name) const override;

 private:
  // The metadata's key of `name`, however messages spell it.
  std::string prefixed(std::string_view name) const;

  GgufMetadata metadata_;
  std::string prefix_;  // "llama."
};

}  // namespace tessera
