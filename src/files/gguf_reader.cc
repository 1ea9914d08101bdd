#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf.h"
#include "files/gguf_layout.h"
#include "files/gguf_parse.h"
#include "files/gguf_split.h"

namespace tessera {
namespace {

std::string shown(const std::filesystem::path& path) {
  return printable(path.string(), 400);
}

// The files that make up the model of which `path` is one: itself, or all members of its split.
std::vector<std::filesystem::path> member_paths(const std::filesystem::path& path) {
  const auto name = gguf::parse_split_name(path);
  if (!name || name->count == 1) return {path};
  std::vector<std::filesystem::path> paths;
  for (size_t number = 1; number <= name->count; ++number) {
    paths.push_back(gguf::split_path(name->prefix, number, name->count));
    if (!std::filesystem::exists(paths.back())) {
      fail("'{}' is one of {} files of a split model, but '{}' is missing", shown(path),
           name->count, shown(paths.back()));
    }
  }
  return paths;
}

// get_int, with the file's name in the error.
std::optional<int64_t> split_key(const GgufMetadata& metadata, const std::filesystem::path& path,
                                 std::string_view key) {
  try {
    return metadata.get_int(key);
  } catch (const Error& error) {
    fail("'{}': {}", shown(path), error.what());
  }
}

// The split keys of member `index` must agree with its name, which `count` comes from.
void check_split_keys(const GgufMetadata& metadata, const std::filesystem::path& path, size_t index,
                      size_t count) {
  const int64_t said_count = split_key(metadata, path, gguf::kSplitCountKey).value_or(1);
  const int64_t said_index = split_key(metadata, path, gguf::kSplitNoKey).value_or(0);
  if (count == 1 && said_count == 0) return;  // some writers say 0 for a model in one file
  if (said_count != static_cast<int64_t>(count)) {
    fail("'{}': key '{}' says {} files, its name says {} (a split file must keep its name)",
         shown(path), gguf::kSplitCountKey, said_count, count);
  }
  if (said_index != static_cast<int64_t>(index)) {
    fail("'{}': key '{}' is {}, expected {} from its name", shown(path), gguf::kSplitNoKey,
         said_index, index);
  }
}

void check_tensor_total(const GgufMetadata& metadata, const std::filesystem::path& path,
                        size_t total) {
  const auto said = split_key(metadata, path, gguf::kSplitTensorsKey);
  if (said && *said != static_cast<int64_t>(total)) {
    fail("'{}': key '{}' says {} tensors, the files hold {}", shown(path), gguf::kSplitTensorsKey,
         *said, total);
  }
}

}  // namespace

uint64_t GgufTensor::rows() const {
  uint64_t rows = 1;
  for (size_t axis = 1; axis < shape.size(); ++axis) rows *= shape[axis];
  return rows;
}

uint64_t GgufTensor::elements() const {
  return columns() * rows();
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile model;
  model.paths_ = member_paths(path);
  for (size_t i = 0; i < model.paths_.size(); ++i) {
    const auto& member = model.paths_[i];
    const MappedFile& file = model.files_.emplace_back(member);
    gguf::Header header = gguf::parse(file.bytes(), member.string());
    check_split_keys(header.metadata, member, i, model.paths_.size());
    for (GgufTensor& tensor : header.tensors) {
      tensor.file_index = i;
      model.tensors_.push_back(std::move(tensor));
    }
    if (i > 0) continue;  // the first member's metadata is the model's
    model.metadata_ = std::move(header.metadata);
    model.version_ = header.version;
    model.alignment_ = header.alignment;
  }
  if (model.paths_.size() > 1)
    check_tensor_total(model.metadata_, model.paths_[0], model.tensors_.size());

  model.tensor_index_.reserve(model.tensors_.size());
  for (size_t i = 0; i < model.tensors_.size(); ++i) {
    const GgufTensor& tensor = model.tensors_[i];
    if (!model.tensor_index_.emplace(tensor.name, i).second) {
      fail("'{}': tensor '{}' is in an earlier file of the split too",
           shown(model.paths_[tensor.file_index]), printable(tensor.name));
    }
  }
  return model;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufTensor& GgufFile::require_tensor(std::string_view name) const {
  const GgufTensor* tensor = find_tensor(name);
  if (tensor == nullptr) fail("'{}': tensor '{}' is missing", shown(paths_.at(0)), printable(name));
  return *tensor;
}

uint64_t GgufFile::offset_of(const GgufTensor& tensor) const {
  return static_cast<uint64_t>(tensor.bytes.data() - files_.at(tensor.file_index).bytes().data());
}

void GgufFile::release(const GgufTensor& tensor, std::span<const std::byte> part) const {
  files_.at(tensor.file_index).release(part);
}

}  // namespace tessera
