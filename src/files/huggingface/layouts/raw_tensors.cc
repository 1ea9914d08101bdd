#include "files/huggingface/layouts/raw_tensors.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {

void RawTensors::add(StoredTensor tensor) {
  if (!by_name_.emplace(tensor.name, tensors_.size()).second)
    fail("tensor '{}' is there twice", printable(tensor.name));
  tensors_.emplace_back(std::move(tensor));
}

void RawTensors::add_metadata(const std::map<std::string, std::string>& metadata) {
  metadata_.insert(metadata.begin(), metadata.end());
}

const StoredTensor* RawTensors::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &*tensors_[found->second];
}

const StoredTensor& RawTensors::require(std::string_view name) const {
  return *tensors_[index_of(name)];
}

StoredTensor RawTensors::take(std::string_view name) {
  const size_t index = index_of(name);
  by_name_.erase(by_name_.find(name));
  return std::move(*std::exchange(tensors_[index], std::nullopt));
}

void RawTensors::drop(std::string_view name) {
  if (find(name) != nullptr) take(name);
}

void RawTensors::replace(std::string_view place, StoredTensor tensor) {
  const size_t index = index_of(place);
  by_name_.erase(by_name_.find(place));
  if (!by_name_.emplace(tensor.name, index).second)
    fail("tensor '{}' is there twice: quantized and as it is", printable(tensor.name));
  tensor.file_index = tensors_[index]->file_index;
  tensors_[index] = std::move(tensor);
}

std::vector<std::string> RawTensors::names() const {
  std::vector<std::string> names;
  for (const auto& tensor : tensors_)
    if (tensor) names.push_back(tensor->name);
  return names;
}

std::vector<std::string> RawTensors::modules(std::string_view suffix) const {
  std::vector<std::string> modules;
  for (const auto& tensor : tensors_) {
    if (tensor && tensor->name.size() > suffix.size() && tensor->name.ends_with(suffix))
      modules.push_back(tensor->name.substr(0, tensor->name.size() - suffix.size()));
  }
  return modules;
}

std::vector<StoredTensor> RawTensors::take_all() {
  std::vector<StoredTensor> all;
  for (auto& tensor : tensors_)
    if (tensor) all.push_back(std::move(*tensor));
  tensors_.clear();
  by_name_.clear();
  return all;
}

const std::string* RawTensors::metadata(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

size_t RawTensors::index_of(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) fail("tensor '{}' is missing", printable(name));
  return found->second;
}

}  // namespace tessera::huggingface
