#include "files/gguf/writer.h"

#include <algorithm>
#include <array>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf/compound_tensors.h"
#include "files/gguf/kept_layers.h"
#include "files/gguf/layout.h"
#include "files/gguf/types.h"

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

GgufWriter::GgufWriter(GgufMetadata metadata) : metadata_(std::move(metadata)) {}

std::string GgufWriter::key_of(std::string_view fact) const {
  if (fact.starts_with("general.")) return std::string(fact);
  return metadata_.require_string("general.architecture") + "." + std::string(fact);
}

void GgufWriter::set_fact(std::string_view name, uint32_t value) {
  metadata_.set(key_of(name), {value});
}

void GgufWriter::set_fact(std::string_view name, const std::vector<bool>& value) {
  metadata_.set(key_of(name), {GgufValue::Array(value)});
}

void GgufWriter::keep_layers(std::span<const int> layers) {
  gguf::keep_layers(metadata_, layers);
}

// Embeddings and the output have no factor in llama.cpp.
const Format& GgufWriter::encoded_format(TensorPlace place, const Format& format) const {
  return &format == &kNVFP4 && place.layer >= 0 ? gguf::factored_nvfp4() : format;
}

void GgufWriter::declare(std::string name, const Format& format, std::vector<uint64_t> shape) {
  numbers_.push_back(tensors_.size());
  if (&format != &gguf::factored_nvfp4())
    return add({.name = std::move(name), .format = &format, .shape = std::move(shape)});
  constexpr std::string_view kWeight = ".weight";
  if (!name.ends_with(kWeight) || shape.size() < 2)
    fail("tensor '{}' is no matrix, which alone may be in NVFP4 with a factor", printable(name));
  const std::string factor = name.substr(0, name.size() - kWeight.size()) + ".scale";
  const uint64_t experts = shape.size() > 2 ? shape[2] : 1;
  add({.name = std::move(name), .format = &kNVFP4, .shape = std::move(shape), .has_factor = true});
  add({.name = factor, .format = &kF32, .shape = {experts}});
}

uint64_t GgufWriter::stored_bytes(size_t index) const {
  const size_t at = numbers_[index];
  return tensors_[at].bytes() + (tensors_[at].has_factor ? tensors_[at + 1].bytes() : 0);
}

void GgufWriter::add(Declared tensor) {
  auto& [name, declared_format, shape, has_factor] = tensor;
  const Format& format = *declared_format;
  check_name(name, "tensor name", gguf::kMaxTensorNameBytes);
  if (shape.empty() || shape.size() > gguf::kMaxAxes) {
    fail("tensor '{}': expected 1 to {} dimensions, found {}", printable(name), gguf::kMaxAxes,
         shape.size());
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    fail("tensor '{}': a dimension is 0", printable(name));
  format.row_bytes(shape[0]);  // throws unless a row is a whole number of blocks
  if (!names_.insert(name).second) fail("tensor '{}' is declared twice", printable(name));
  tensors_.push_back(std::move(tensor));
}

uint64_t GgufWriter::Declared::bytes() const {
  uint64_t size = format->row_bytes(shape[0]);
  for (size_t axis = 1; axis < shape.size(); ++axis) {
    size = checked_mul(size, shape[axis], "tensor size");
  }
  return checked_add(size, gguf::tail_bytes(*format), "tensor size");
}

std::string GgufWriter::header(uint64_t alignment) const {
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
    out.add(gguf::type_of(*tensor.format));
    out.add(offset);
    offset = gguf::align_up(checked_add(offset, tensor.bytes(), "tensor offset"), alignment);
  }
  return out.bytes();
}

uint64_t GgufWriter::bytes_beside_tensors() const {
  const uint64_t alignment = gguf::alignment_of(metadata_);
  uint64_t bytes = gguf::align_up(header(alignment).size(), alignment);
  for (const Declared& tensor : tensors_)
    bytes += gguf::align_up(tensor.bytes(), alignment) - tensor.bytes();
  return bytes;
}

void GgufWriter::write(const std::filesystem::path& path, const Fill& fill) {
  const uint64_t alignment = gguf::alignment_of(metadata_);
  AtomicFile file(path);
  file.write(header(alignment));
  pad(file, alignment);
  const auto add_bytes = [&](const Declared& tensor, std::span<const std::byte> bytes) {
    if (bytes.size() != tensor.bytes()) {
      fail("tensor '{}': {} bytes to write, but {} were declared", printable(tensor.name),
           bytes.size(), tensor.bytes());
    }
    file.write(bytes);
    pad(file, alignment);
  };
  for (size_t i = 0; i < numbers_.size(); ++i) {
    const std::vector<std::byte> bytes = fill(i);
    const Declared& tensor = tensors_[numbers_[i]];
    if (!tensor.has_factor) {
      add_bytes(tensor, bytes);
      continue;
    }
    const gguf::FactoredRows rows = gguf::factored_rows(bytes);
    const Declared& factor = tensors_[numbers_[i] + 1];
    add_bytes(tensor, rows.blocks);
    const std::vector<float> factors(factor.shape[0], rows.factor);
    add_bytes(factor, std::as_bytes(std::span(factors)));
  }
  file.commit();
}

}  // namespace tessera
