// A model as it is stored: facts, a tokenizer, tensors. What kind of file it lies in is known below
// files/ only; a new kind is a class that derives from this one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/chat_templates.h"
#include "checkpoint/facts.h"
#include "checkpoint/stored_tensor.h"
#include "checkpoint/tokenizer_data.h"

namespace tessera {

// Memory-mapped and immutable: any thread may read it. Whoever opens one has checked everything
// that its readers rely on: sizes lie within the files, names are unique, formats known.
class Checkpoint {
 public:
  virtual ~Checkpoint();

  virtual const Facts& facts() const = 0;
  // Error if the checkpoint holds no tokenizer, or a part of it has the wrong type.
  virtual TokenizerData read_tokenizer() const = 0;
  virtual ChatTemplates read_chat_templates() const = 0;

  // In the order of the files.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(TensorPlace place) const;     // nullptr if absent
  const StoredTensor& require(TensorPlace place) const;  // Error if absent

  const std::vector<std::filesystem::path>& paths() const { return paths_; }
  // Where the tensor's bytes begin in paths()[tensor.file_index]; it has no source.
  uint64_t offset_of(const StoredTensor& tensor) const;
  // Lets the pages of `part` of a file go from resident memory; they stay readable.
  void release(std::span<const std::byte> part) const;
  void release(const StoredTensor& tensor) const;

 protected:
  Checkpoint() = default;
  Checkpoint(Checkpoint&&) noexcept = default;

  const MappedFile& add_file(std::filesystem::path path);  // maps it
  const MappedFile& file_of(const StoredTensor& tensor) const;
  void add_tensor(StoredTensor tensor);  // its place is set here
  // The map of this kind of checkpoint: see TensorNames.
  virtual std::string tensor_name(TensorPlace place) const = 0;
  virtual TensorPlace tensor_place(std::string_view name) const = 0;

 private:
  std::vector<MappedFile> files_;
  std::vector<std::filesystem::path> paths_;
  std::vector<StoredTensor> tensors_;
  std::map<TensorPlace, size_t> by_place_;
};

}  // namespace tessera
