#include <algorithm>
#include <array>
#include <memory>
#include <unordered_set>
#include <utility>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf.h"
#include "files/gguf_layout.h"
#include "files/gguf_split.h"

namespace tessera {
namespace {

// Header fields, gathered in memory: a header is small beside the tensors.
class HeaderBytes {
 public:
  template <typename T>
  void add(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* raw = reinterpret_cast<const char*>(&value);
    bytes_.append(raw, sizeof(T));
  }
  void add_raw(std::string_view text) { bytes_ += text; }
  void add_string(std::string_view text) {
    add<uint64_t>(text.size());
    bytes_ += text;
  }

  void add_value(const GgufValue& value) {
    std::visit(
        [this]<typename T>(const T& v) {
          add(static_cast<uint32_t>(gguf::type_id<T>()));
          if constexpr (std::is_same_v<T, GgufValue::Array>) {
            std::visit([this](const auto& elements) { this->add_elements(elements); }, v);
          } else {
            add_scalar(v);
          }
        },
        value.value);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  template <typename E>
  void add_elements(const std::vector<E>& elements) {
    add(static_cast<uint32_t>(gguf::type_id<E>()));
    add<uint64_t>(elements.size());
    for (const auto& element : elements) add_scalar<E>(element);
  }

  template <typename T>
  void add_scalar(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      add_string(value);
    } else if constexpr (std::is_same_v<T, bool>) {
      add<uint8_t>(value ? 1 : 0);
    } else {
      add(value);
    }
  }

  std::string bytes_;
};

void check_name(std::string_view name, std::string_view what, size_t max_bytes) {
  if (name.empty()) fail("cannot write a GGUF file with an empty {}", what);
  if (name.size() > max_bytes) {
    fail("cannot write the {} '{}': {} bytes, at most {} are allowed", what, printable(name),
         name.size(), max_bytes);
  }
  if (!is_valid_utf8(name))
    fail("cannot write the {} '{}': it is not UTF-8", what, printable(name));
}

void erase_split_keys(GgufMetadata& metadata) {
  for (const auto key : {gguf::kSplitNoKey, gguf::kSplitCountKey, gguf::kSplitTensorsKey})
    metadata.erase(key);
}

void pad(AtomicFile& file, uint64_t alignment) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  uint64_t missing = gguf::align_up(file.position(), alignment) - file.position();
  while (missing > 0) {
    const uint64_t part = std::min<uint64_t>(missing, kZeros.size());
    file.write(std::span(kZeros).first(part));
    missing -= part;
  }
}

}  // namespace

// Writes one file: the header for the given slice of the declared tensors, then their bytes.
class GgufWriter::FileWriter {
 public:
  FileWriter(const GgufMetadata& metadata, std::span<const Declared> tensors)
      : metadata_(metadata), tensors_(tensors), alignment_(gguf::alignment_of(metadata)) {}

  // `first` is the index, among all declared tensors, of this file's first.
  void write(AtomicFile& file, size_t first,
             const std::function<std::vector<std::byte>(size_t)>& fill) const {
    file.write(header());
    pad(file, alignment_);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const std::vector<std::byte> bytes = fill(first + i);
      if (bytes.size() != size_of(tensors_[i])) {
        fail("tensor '{}': {} bytes to write, but {} were declared", printable(tensors_[i].name),
             bytes.size(), size_of(tensors_[i]));
      }
      file.write(bytes);
      pad(file, alignment_);
    }
  }

 private:
  static uint64_t size_of(const Declared& tensor) {
    uint64_t size = tensor.format->row_bytes(tensor.shape[0]);
    for (size_t axis = 1; axis < tensor.shape.size(); ++axis) {
      size = checked_mul(size, tensor.shape[axis], "tensor size");
    }
    return size;
  }

  std::string header() const {
    HeaderBytes out;
    out.add_raw(gguf::kMagic);
    out.add(gguf::kNewestVersion);
    out.add<uint64_t>(tensors_.size());
    out.add<uint64_t>(metadata_.entries().size());
    for (const auto& [key, value] : metadata_.entries()) {
      check_name(key, "metadata key", gguf::kMaxKeyBytes);
      out.add_string(key);
      out.add_value(value);
    }
    uint64_t offset = 0;
    for (const Declared& tensor : tensors_) {
      out.add_string(tensor.name);
      out.add(static_cast<uint32_t>(tensor.shape.size()));
      for (const uint64_t axis : tensor.shape) out.add(axis);
      out.add(tensor.format->ggml_type);
      out.add(offset);
      offset = gguf::align_up(checked_add(offset, size_of(tensor), "tensor offset"), alignment_);
    }
    return out.bytes();
  }

  const GgufMetadata& metadata_;
  std::span<const Declared> tensors_;
  uint64_t alignment_;
};

GgufWriter::GgufWriter(GgufMetadata metadata) : metadata_(std::move(metadata)) {
  erase_split_keys(metadata_);  // they described the files this metadata was read from
}

void GgufWriter::declare(std::string name, const Format& format, std::vector<uint64_t> shape) {
  check_name(name, "tensor name", gguf::kMaxTensorNameBytes);
  if (shape.empty() || shape.size() > gguf::kMaxAxes) {
    fail("tensor '{}': expected 1 to {} dimensions, found {}", printable(name), gguf::kMaxAxes,
         shape.size());
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    fail("tensor '{}': a dimension is 0", printable(name));
  format.row_bytes(shape[0]);  // throws unless a row is a whole number of blocks
  if (!names_.insert(name).second) fail("tensor '{}' is declared twice", printable(name));
  tensors_.push_back({std::move(name), &format, std::move(shape)});
}

void GgufWriter::write(const std::filesystem::path& path,
                       const std::function<std::vector<std::byte>(size_t index)>& fill) {
  const FileWriter writer(metadata_, tensors_);
  AtomicFile file(path);
  writer.write(file, 0, fill);
  file.commit();
}

void GgufWriter::write_split(const std::filesystem::path& prefix, size_t max_tensors,
                             const std::function<std::vector<std::byte>(size_t index)>& fill) {
  if (max_tensors == 0) fail("a split file must hold at least 1 tensor");
  const size_t count = std::max<size_t>(1, (tensors_.size() + max_tensors - 1) / max_tensors);
  if (count > gguf::kMaxSplits) {
    fail("{} tensors, {} in a file, make {} files; at most {} are allowed", tensors_.size(),
         max_tensors, count, gguf::kMaxSplits);
  }
  // None appears under its name before all are complete.
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (size_t i = 0; i < count; ++i) {
    GgufMetadata metadata;
    if (i == 0) {
      metadata = metadata_;
    } else if (const GgufValue* alignment = metadata_.find(gguf::kAlignmentKey)) {
      metadata.set(std::string(gguf::kAlignmentKey), *alignment);
    }
    metadata.set(std::string(gguf::kSplitNoKey), {static_cast<uint16_t>(i)});
    metadata.set(std::string(gguf::kSplitCountKey), {static_cast<uint16_t>(count)});
    metadata.set(std::string(gguf::kSplitTensorsKey), {static_cast<int32_t>(tensors_.size())});

    const size_t first = i * max_tensors;
    const size_t part = std::min(max_tensors, tensors_.size() - first);
    const FileWriter writer(metadata, std::span(tensors_).subspan(first, part));
    files.push_back(std::make_unique<AtomicFile>(gguf::split_path(prefix.string(), i + 1, count)));
    writer.write(*files.back(), first, fill);
  }
  for (const auto& file : files) file->commit();
}

}  // namespace tessera
