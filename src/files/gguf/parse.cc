#include "files/gguf/parse.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf/compound_tensors.h"
#include "files/gguf/layout.h"
#include "files/gguf/types.h"

namespace tessera::gguf {
namespace {

// A place in the file. Every read is checked against what is left, and every failure says where.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(printable(file, 400)) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  // What is being read, for messages: "metadata 3", "tensor 'x'".
  void set_context(std::string context) { context_ = std::move(context); }

  template <typename... Args>
  [[noreturn]] void fail_here(fmt::format_string<Args...> format, Args&&... args) const {
    fail("'{}': {}: {} (at byte {})", file_, context_,
         fmt::format(format, std::forward<Args>(args)...), offset_);
  }

  std::span<const std::byte> take(uint64_t count, const char* what) {
    if (count > remaining()) {
      fail_here("the file ends inside the {}: {} bytes needed, {} left", what, count, remaining());
    }
    const auto part = bytes_.subspan(offset_, count);
    offset_ += count;
    return part;
  }

  template <typename T>
  T read(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view read_string(const char* what) {
    const auto length = read<uint64_t>(what);
    const auto text = take(length, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  // A count of things that take at least `least_bytes` each: more than could follow is an Error
  // now, before anything is allocated for them.
  uint64_t read_count(uint64_t least_bytes, const char* what) {
    const auto count = read<uint64_t>(what);
    check_count(count, least_bytes, what);
    return count;
  }
  void check_count(uint64_t count, uint64_t least_bytes, const char* what) const {
    if (count > remaining() / least_bytes) {
      fail_here("{} is {}, more than the {} bytes left can hold", what, count, remaining());
    }
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_, context_ = "header";
  uint64_t offset_ = 0;
};

// Least bytes of a metadata entry: a key of one byte, its type, a value of one byte.
constexpr uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1;
// Least bytes of a tensor's description: name of one byte, one axis, type, offset.
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

bool read_bool(Cursor& cursor) {
  const auto byte = cursor.read<uint8_t>("bool");
  if (byte > 1) cursor.fail_here("a bool must be 0 or 1, found {}", byte);
  return byte == 1;
}

template <typename E>
std::vector<E> read_elements(Cursor& cursor) {
  constexpr uint64_t kLeastBytes = std::is_same_v<E, std::string> ? sizeof(uint64_t) : sizeof(E);
  const uint64_t count = cursor.read_count(kLeastBytes, "array length");
  std::vector<E> elements;
  if constexpr (std::is_same_v<E, std::string>) {
    elements.reserve(count);
    for (uint64_t i = 0; i < count; ++i)
      elements.emplace_back(cursor.read_string("array of strings"));
  } else if constexpr (std::is_same_v<E, bool>) {
    elements.reserve(count);
    for (uint64_t i = 0; i < count; ++i) elements.push_back(read_bool(cursor));
  } else if (count > 0) {
    elements.resize(count);
    const auto raw = cursor.take(count * sizeof(E), "array");  // no overflow: count was checked
    std::memcpy(elements.data(), raw.data(), raw.size());
  }
  return elements;
}

[[noreturn]] void fail_type(const Cursor& cursor, uint32_t type) {
  cursor.fail_here("unknown value type {} (known are 0 to 12)", type);
}

GgufValue::Array read_array(Cursor& cursor) {
  const auto element_type = cursor.read<uint32_t>("array element type");
  GgufValue::Array array;
  const bool known = visit_type(element_type, [&]<typename E>() {
    if constexpr (std::is_same_v<E, GgufValue::Array>) {
      cursor.fail_here("arrays of arrays are not supported");
    } else {
      array = read_elements<E>(cursor);
    }
  });
  if (!known) fail_type(cursor, element_type);
  return array;
}

GgufValue read_value(Cursor& cursor) {
  const auto type = cursor.read<uint32_t>("value type");
  GgufValue value;
  const bool known = visit_type(type, [&]<typename T>() {
    if constexpr (std::is_same_v<T, GgufValue::Array>) {
      value.value = read_array(cursor);
    } else if constexpr (std::is_same_v<T, std::string>) {
      value.value = std::string(cursor.read_string("string"));
    } else if constexpr (std::is_same_v<T, bool>) {
      value.value = read_bool(cursor);
    } else {
      value.value = cursor.read<T>("value");
    }
  });
  if (!known) fail_type(cursor, type);
  return value;
}

// A name that later code prints and looks things up by: not empty, short, and text.
std::string read_name(Cursor& cursor, const char* what, size_t max_bytes) {
  const std::string_view name = cursor.read_string(what);
  if (name.empty()) cursor.fail_here("the {} is empty", what);
  if (name.size() > max_bytes)
    cursor.fail_here("the {} has {} bytes, at most {} are allowed", what, name.size(), max_bytes);
  if (!is_valid_utf8(name)) cursor.fail_here("the {} '{}' is not UTF-8", what, printable(name));
  return std::string(name);
}

GgufMetadata read_metadata(Cursor& cursor, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    cursor.set_context(fmt::format("metadata entry {}", i));
    std::string key = read_name(cursor, "key", kMaxKeyBytes);
    if (metadata.contains(key)) cursor.fail_here("the key '{}' appears twice", printable(key));
    cursor.set_context(fmt::format("key '{}'", printable(key)));
    GgufValue value = read_value(cursor);
    metadata.set(std::move(key), std::move(value));
  }
  return metadata;
}

// Where a tensor's bytes lie, counted from the start of the data section.
struct Extent {
  uint64_t offset, size;
};

std::vector<uint64_t> read_shape(Cursor& cursor) {
  const auto axes = cursor.read<uint32_t>("number of dimensions");
  if (axes < 1 || axes > kMaxAxes)
    cursor.fail_here("expected 1 to {} dimensions, found {}", kMaxAxes, axes);
  std::vector<uint64_t> shape(axes);
  for (uint64_t& size : shape) {
    size = cursor.read<uint64_t>("dimensions");
    if (size == 0) cursor.fail_here("a dimension is 0");
  }
  return shape;
}

const Format& read_format(Cursor& cursor) {
  const auto type = cursor.read<uint32_t>("type");
  const Format* format = format_of(type);
  if (format == nullptr) cursor.fail_here("unknown tensor type {}", type);
  return *format;
}

uint64_t tensor_bytes(const Cursor& cursor, const Format& format, std::span<const uint64_t> shape) {
  if (shape[0] % format.block_elements != 0) {
    cursor.fail_here("rows of {} elements are not a whole number of {} blocks of {}", shape[0],
                     format.name, format.block_elements);
  }
  uint64_t size = shape[0] / format.block_elements;
  uint64_t elements = shape[0];
  bool overflow = __builtin_mul_overflow(size, uint64_t{format.block_bytes}, &size);
  for (const uint64_t axis : shape.subspan(1)) {
    overflow |= __builtin_mul_overflow(size, axis, &size);
    overflow |= __builtin_mul_overflow(elements, axis, &elements);
  }
  overflow |= __builtin_add_overflow(size, tail_bytes(format), &size);
  // Elements are counted in signed 64-bit numbers elsewhere, so the sign bit stays free.
  if (overflow || elements > INT64_MAX || size > INT64_MAX) {
    cursor.fail_here("its size overflows: {} in {}", fmt::join(shape, " x "), format.name);
  }
  return size;
}

Extent read_tensor(Cursor& cursor, uint64_t index, uint64_t alignment, StoredTensor& tensor) {
  cursor.set_context(fmt::format("tensor {}", index));
  tensor.name = read_name(cursor, "name", kMaxTensorNameBytes);
  cursor.set_context(fmt::format("tensor '{}'", printable(tensor.name)));
  tensor.shape = read_shape(cursor);
  tensor.format = &read_format(cursor);
  const uint64_t size = tensor_bytes(cursor, *tensor.format, tensor.shape);
  const auto offset = cursor.read<uint64_t>("offset");
  if (offset % alignment != 0)
    cursor.fail_here("offset {} is not a multiple of the alignment, {}", offset, alignment);
  return {offset, size};
}

void check_unique_names(Cursor& cursor, std::span<const StoredTensor> tensors) {
  std::unordered_set<std::string_view> names;
  names.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      cursor.set_context("tensors");
      cursor.fail_here("the name '{}' appears twice", printable(tensor.name));
    }
  }
}

void check_no_overlap(Cursor& cursor, std::span<const StoredTensor> tensors) {
  std::vector<const StoredTensor*> by_address;
  by_address.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) by_address.push_back(&tensor);
  std::sort(by_address.begin(), by_address.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->bytes.data() < b->bytes.data();
  });
  for (size_t i = 1; i < by_address.size(); ++i) {
    const StoredTensor &before = *by_address[i - 1], &after = *by_address[i];
    if (before.bytes.data() + before.bytes.size() > after.bytes.data()) {
      cursor.set_context("tensors");
      cursor.fail_here("'{}' and '{}' overlap in the file", printable(before.name),
                       printable(after.name));
    }
  }
}

std::vector<StoredTensor> read_tensors(Cursor& cursor, uint64_t count, uint64_t alignment,
                                       std::span<const std::byte> file) {
  cursor.set_context("tensors");
  cursor.check_count(count, kLeastTensorBytes, "tensor count");
  std::vector<StoredTensor> tensors(count);
  std::vector<Extent> extents(count);
  for (uint64_t i = 0; i < count; ++i) extents[i] = read_tensor(cursor, i, alignment, tensors[i]);

  const uint64_t data_start = align_up(cursor.offset(), alignment);
  const uint64_t data_bytes = data_start < file.size() ? file.size() - data_start : 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto [offset, size] = extents[i];
    if (offset > data_bytes || size > data_bytes - offset) {
      cursor.set_context(fmt::format("tensor '{}'", printable(tensors[i].name)));
      cursor.fail_here(
          "its {} bytes at offset {} lie outside the file, which holds {} bytes of tensor data "
          "(cut short?)",
          size, offset, data_bytes);
    }
    tensors[i].bytes = file.subspan(data_start + offset, size);
  }
  check_unique_names(cursor, tensors);
  check_no_overlap(cursor, tensors);
  return tensors;
}

void read_magic(Cursor& cursor) {
  const auto magic = cursor.take(kMagic.size(), "magic");
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (text == kMagic) return;
  // Written by a big-endian program in the past, when the magic was a number.
  if (text == "FUGG")
    cursor.fail_here("this is a big-endian GGUF file; only little-endian files can be read");
  cursor.fail_here("not a GGUF file: it begins with '{}', not '{}'", printable(text), kMagic);
}

uint32_t read_version(Cursor& cursor) {
  const auto version = cursor.read<uint32_t>("version");
  if (version == 2 || version == kNewestVersion) return version;
  if (version == 1)
    cursor.fail_here("GGUF version 1 is not supported; convert the file again with a newer tool");
  if (version != 0 && (version & 0xffffu) == 0) {
    cursor.fail_here("this is a big-endian GGUF file; only little-endian files can be read");
  }
  cursor.fail_here("GGUF version {} is not supported (2 and {} are)", version, kNewestVersion);
}

}  // namespace

Header parse(std::span<const std::byte> bytes, std::string_view file) {
  Cursor cursor(bytes, file);
  Header header;
  read_magic(cursor);
  header.version = read_version(cursor);
  const uint64_t tensor_count = cursor.read_count(kLeastTensorBytes, "tensor count");
  const uint64_t metadata_count = cursor.read_count(kLeastEntryBytes, "metadata count");
  header.metadata = read_metadata(cursor, metadata_count);
  try {
    header.alignment = alignment_of(header.metadata);
  } catch (const Error& error) {
    cursor.set_context("metadata");
    cursor.fail_here("{}", error.what());
  }
  header.tensors = read_tensors(cursor, tensor_count, header.alignment, bytes);
  return header;
}

}  // namespace tessera::gguf
