#include "files/gguf/reader.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/compound_tensors.h"
#include "files/gguf/latent_attention.h"
#include "files/gguf/layout.h"
#include "files/gguf/parse.h"
#include "files/gguf/split.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf/tokenizer.h"

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

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile model;
  const std::vector<std::filesystem::path> members = member_paths(path);
  std::vector<StoredTensor> tensors;
  GgufMetadata metadata;
  for (size_t i = 0; i < members.size(); ++i) {
    gguf::Header header = gguf::parse(model.add_file(members[i]).bytes(), members[i].string());
    check_split_keys(header.metadata, members[i], i, members.size());
    for (StoredTensor& tensor : header.tensors) {
      tensor.file_index = i;
      tensors.push_back(std::move(tensor));
    }
    if (i > 0) continue;  // the first member's metadata is the model's
    metadata = std::move(header.metadata);
    model.version_ = header.version;
    model.alignment_ = header.alignment;
  }
  if (members.size() > 1) check_tensor_total(metadata, members[0], tensors.size());
  try {
    gguf::join_compounds(tensors);
    gguf::split_old_latents(metadata, tensors);
  } catch (const Error& error) {
    fail("'{}': {}", shown(members[0]), error.what());
  }
  model.facts_ = std::make_unique<const GgufFacts>(std::move(metadata));
  for (StoredTensor& tensor : tensors) model.add_tensor(std::move(tensor));
  model.index_tensors();
  return model;
}

void GgufFile::index_tensors() {
  tensor_index_.reserve(tensors().size());
  for (size_t i = 0; i < tensors().size(); ++i) {
    const StoredTensor& tensor = tensors()[i];
    if (!tensor_index_.emplace(tensor.name, i).second) {
      fail("'{}': tensor '{}' is in an earlier file of the split too",
           shown(paths()[tensor.file_index]), printable(tensor.name));
    }
  }
}

TokenizerData GgufFile::read_tokenizer() const {
  return gguf::read_tokenizer(metadata());
}

ChatTemplates GgufFile::read_chat_templates() const {
  return gguf::read_chat_templates(metadata());
}

std::string GgufFile::tensor_name(TensorPlace place) const {
  return gguf::tensor_name(place);
}

TensorPlace GgufFile::tensor_place(std::string_view name) const {
  return gguf::tensor_place(name);
}

const StoredTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors()[found->second];
}

const StoredTensor& GgufFile::require_tensor(std::string_view name) const {
  const StoredTensor* tensor = find_tensor(name);
  if (tensor == nullptr)
    fail("'{}': tensor '{}' is missing", shown(paths().at(0)), printable(name));
  return *tensor;
}

}  // namespace tessera
