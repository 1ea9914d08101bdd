// What a checkpoint says of its model beside the tensors: family and hyperparameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

// Names are those of GGUF without the architecture's prefix, the most complete vocabulary there is:
// "block_count", "embedding_length", "attention.head_count", "rope.freq_base", ...; what concerns
// the file as a whole begins with "general.": "general.architecture", "general.name".
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#standardized-key-value-pairs
class Facts {
 public:
  virtual ~Facts() = default;

  // How the source spells `name`, for messages: "llama.block_count".
  virtual std::string key_of(std::string_view name) const = 0;

  // nullopt if the source does not say; Error "key '...': expected X, found Y" if it has another
  // type. An integer may be read as a float.
  virtual std::optional<int64_t> get_int(std::string_view name) const = 0;
  virtual std::optional<double> get_float(std::string_view name) const = 0;
  virtual std::optional<std::string> get_string(std::string_view name) const = 0;
  virtual std::optional<bool> get_bool(std::string_view name) const = 0;
  virtual std::optional<std::vector<int64_t>> get_ints(std::string_view name) const = 0;
  virtual std::optional<std::vector<bool>> get_bools(std::string_view name) const = 0;

  // Is there a list under that name (one value for each layer, say), rather than one value?
  virtual bool is_list(std::string_view name) const = 0;

  // As get_int / get_string, but silence is an Error too.
  int64_t require_int(std::string_view name) const;
  std::string require_string(std::string_view name) const;
};

}  // namespace tessera
