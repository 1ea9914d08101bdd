#include "checkpoint/checkpoint.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {

Checkpoint::~Checkpoint() = default;

const StoredTensor* Checkpoint::find(TensorPlace place) const {
  const auto found = by_place_.find(place);
  return found == by_place_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& Checkpoint::require(TensorPlace place) const {
  const StoredTensor* tensor = find(place);
  if (tensor == nullptr) {
    fail("'{}': tensor '{}' is missing", printable(paths_.at(0).string(), 400), tensor_name(place));
  }
  return *tensor;
}

uint64_t Checkpoint::offset_of(const StoredTensor& tensor) const {
  return static_cast<uint64_t>(tensor.bytes.data() - file_of(tensor).bytes().data());
}

void Checkpoint::release(std::span<const std::byte> part) const {
  for (const MappedFile& file : files_) {
    const auto all = file.bytes();
    const bool holds = part.data() >= all.data() && part.data() < all.data() + all.size();
    if (holds) return file.release(part);
  }
}

void Checkpoint::release(const StoredTensor& tensor) const {
  for (const auto part : tensor.stored()) release(part);
}

const MappedFile& Checkpoint::add_file(std::filesystem::path path) {
  const MappedFile& file = files_.emplace_back(path);
  paths_.push_back(std::move(path));
  return file;
}

const MappedFile& Checkpoint::file_of(const StoredTensor& tensor) const {
  return files_.at(tensor.file_index);
}

void Checkpoint::add_tensor(StoredTensor tensor) {
  tensor.place = tensor_place(tensor.name);
  // Roles that many tensors share are never asked for; the first of them may have the entry.
  by_place_.emplace(tensor.place, tensors_.size());
  tensors_.push_back(std::move(tensor));
}

}  // namespace tessera
