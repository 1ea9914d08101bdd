// The tensors of all files of a folder as they are stored, before a layout makes matrices of them.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/stored_tensor.h"

namespace tessera::huggingface {

class RawTensors {
 public:
  // Error if the name is taken.
  void add(StoredTensor tensor);
  // What files say in "__metadata__"; the first that says something is right.
  void add_metadata(const std::map<std::string, std::string>& metadata);

  const StoredTensor* find(std::string_view name) const;     // nullptr if absent
  const StoredTensor& require(std::string_view name) const;  // Error if absent
  StoredTensor take(std::string_view name);                  // out of the list; Error if absent
  void drop(std::string_view name);                          // takes it, if it is there
  // Puts `tensor`, whatever its name, where `place` is, which goes.
  void replace(std::string_view place, StoredTensor tensor);

  // In the order of the files.
  std::vector<std::string> names() const;
  // X of every tensor "X" + suffix: modules(".qweight") has "model.layers.0.self_attn.q_proj".
  std::vector<std::string> modules(std::string_view suffix) const;
  std::vector<StoredTensor> take_all();

  const std::string* metadata(std::string_view key) const;  // nullptr if no file says that
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

 private:
  size_t index_of(std::string_view name) const;  // Error if absent

  std::vector<std::optional<StoredTensor>> tensors_;  // nullopt: taken
  std::map<std::string, size_t, std::less<>> by_name_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

}  // namespace tessera::huggingface
