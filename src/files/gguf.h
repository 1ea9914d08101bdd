// GGUF, the model file of the llama.cpp world: metadata and tensors in one file or several.
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "formats/format.h"

namespace tessera {

// A metadata value. Arrays of arrays exist in the specification but in no known model; reading
// one is an Error.
class GgufValue {
 public:
  using Array = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                             std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                             std::vector<uint64_t>, std::vector<int64_t>, std::vector<float>,
                             std::vector<double>, std::vector<bool>, std::vector<std::string>>;
  using Variant = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t,
                               int64_t, float, double, bool, std::string, Array>;
  Variant value;
};

// Metadata in file order, with typed look-up. Integers of every width convert to each other when
// the value fits; floats and integers do not mix, except that an integer may be read as a float.
class GgufMetadata {
 public:
  bool contains(std::string_view key) const;
  const GgufValue* find(std::string_view key) const;  // nullptr if absent
  bool is_array(std::string_view key) const;          // false if absent

  // nullopt if the key is absent; Error "key '...': expected X, found Y" if it has another type.
  std::optional<int64_t> get_int(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  std::optional<std::string> get_string(std::string_view key) const;
  std::optional<std::vector<std::string>> get_strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> get_ints(std::string_view key) const;
  std::optional<std::vector<float>> get_floats(std::string_view key) const;
  // As get_int / get_string, but absence is an Error too.
  int64_t require_int(std::string_view key) const;
  std::string require_string(std::string_view key) const;

  void set(std::string key, GgufValue value);  // adds, or replaces in place
  void erase(std::string_view key);
  const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

// A tensor as it lies in the file. shape[0] is the length of a row (ggml's ne[0]), the axis that
// is contiguous and that a linear layer sums over; shape[1] counts the rows.
struct GgufTensor {
  std::string name;
  const Format* format = nullptr;
  std::vector<uint64_t> shape;       // 1 to 4 axes
  std::span<const std::byte> bytes;  // checked to lie inside the file, exactly the tensor's size
  size_t file_index = 0;             // which of the split files holds it

  uint64_t columns() const { return shape.empty() ? 1 : shape[0]; }
  uint64_t rows() const;      // product of the other axes
  uint64_t elements() const;  // columns() * rows()
};

// A GGUF model, memory-mapped. Opening checks everything that later code relies on: every length,
// count, offset and dimension lies within the real size of the file, names are unique, types known.
class GgufFile {
 public:
  // Opens `path`; if its name ends in -00001-of-0000N.gguf (any member works), all N files.
  // Throws Error (one line: what, where, what was expected) for anything malformed.
  static GgufFile open(const std::filesystem::path& path);

  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;     // nullptr if absent
  const GgufTensor& require_tensor(std::string_view name) const;  // Error if absent
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  const std::vector<std::filesystem::path>& paths() const { return paths_; }
  // Where the tensor's bytes begin in paths()[tensor.file_index].
  uint64_t offset_of(const GgufTensor& tensor) const;
  // Lets the tensor's pages go from resident memory; bytes stay readable.
  void release(const GgufTensor& tensor) const { release(tensor, tensor.bytes); }
  // As above for `part` of its bytes.
  void release(const GgufTensor& tensor, std::span<const std::byte> part) const;

 private:
  std::vector<MappedFile> files_;
  std::vector<std::filesystem::path> paths_;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string_view, size_t> tensor_index_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
};

// Writes a GGUF v3 file. Declare all tensors, then write their bytes in the same order.
// Keys "split.*" in the metadata are dropped: the writer sets them as the files it makes need them.
class GgufWriter {
 public:
  explicit GgufWriter(GgufMetadata metadata);
  void declare(std::string name, const Format& format, std::vector<uint64_t> shape);
  // Creates the file (atomically: it appears under `path` only when all tensors are written),
  // then asks `fill` for the bytes of each tensor in order. Throws Error if `fill` returns
  // another number of bytes than declared.
  void write(const std::filesystem::path& path,
             const std::function<std::vector<std::byte>(size_t index)>& fill);
  // As write(), but into several files of at most `max_tensors` tensors, named as GGUF splits are.
  void write_split(const std::filesystem::path& prefix, size_t max_tensors,
                   const std::function<std::vector<std::byte>(size_t index)>& fill);

 private:
  class FileWriter;
  struct Declared {
    std::string name;
    const Format* format;
    std::vector<uint64_t> shape;
  };
  GgufMetadata metadata_;
  std::vector<Declared> tensors_;
  std::unordered_set<std::string> names_;
};

}  // namespace tessera
