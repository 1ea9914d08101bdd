#include "files/safetensors/parse.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/safetensors/dtypes.h"

namespace tessera::safetensors {
namespace {

constexpr size_t kMaxAxes = 8;     // of a file
constexpr size_t kMaxOwnAxes = 4;  // of a StoredTensor

struct Entry {
  std::string name, dtype;
  std::vector<uint64_t> shape, offsets;
};

// Takes the header in one pass and keeps nothing that the format has no place for, so that a
// hostile one costs no more memory than its bytes do. What it refuses, it says in error().
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(Metadata* metadata) : metadata_(metadata) {}

  std::vector<Entry> entries;
  const std::string& error() const { return error_; }

  bool start_object(size_t) override {
    switch (level_) {
      case Level::kFile:
        level_ = Level::kNames;
        return true;
      case Level::kName:
        level_ = is_metadata_ ? Level::kMetadata : Level::kFields;
        if (!is_metadata_)
          entries.push_back({.name = name_, .dtype = {}, .shape = {}, .offsets = {}});
        return true;
      default:
        return refuse("an object");
    }
  }
  bool end_object() override {
    if (level_ == Level::kFields && (seen_.size() != 3)) {
      error_ = fmt::format("'{}' lacks one of dtype, shape, data_offsets", printable(name_));
      return false;
    }
    seen_.clear();
    level_ = level_ == Level::kNames ? Level::kEnd : Level::kNames;
    return true;
  }
  bool key(string_t& key) override {
    if (level_ == Level::kNames) return start_name(key);
    if (level_ == Level::kMetadata) {
      name_ = key;
      return true;
    }
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      error_ = fmt::format("'{}' has '{}', expected dtype, shape and data_offsets",
                           printable(name_), printable(key));
      return false;
    }
    if (!seen_.insert(key).second) return say_twice(key);
    field_ = key;
    return true;
  }
  bool start_array(size_t) override {
    if (level_ != Level::kFields || field_ == "dtype" || field_.empty()) return refuse("an array");
    level_ = Level::kNumbers;
    return true;
  }
  bool end_array() override {
    level_ = Level::kFields;
    field_.clear();
    return true;
  }
  bool string(string_t& text) override {
    if (level_ == Level::kMetadata) {  // for people, mostly
      if (++metadata_entries_ > kMaxTensors) {
        error_ = fmt::format("__metadata__ has more than {} entries", kMaxTensors);
        return false;
      }
      if (metadata_ != nullptr && !metadata_->emplace(name_, text).second) return say_twice(name_);
      return true;
    }
    if (level_ != Level::kFields || field_ != "dtype") return refuse("a text");
    entries.back().dtype = text;
    field_.clear();
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (level_ != Level::kNumbers) return refuse("a number");
    auto& numbers = field_ == "shape" ? entries.back().shape : entries.back().offsets;
    const size_t most = field_ == "shape" ? kMaxAxes : 2;
    if (numbers.size() == most) {
      error_ = fmt::format("'{}' has a {} of more than {} numbers", printable(name_), field_, most);
      return false;
    }
    numbers.push_back(number);
    return true;
  }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("a fraction"); }
  bool null() override { return refuse("null"); }
  bool boolean(bool) override { return refuse("true or false"); }
  bool binary(binary_t&) override { return refuse("bytes"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    error_ = fmt::format("it is no JSON from byte {} on", position + 7);
    return false;
  }

 private:
  // What is open: the file, its object; behind a name of that, the metadata or a tensor's fields;
  // the numbers of one of them.
  enum class Level { kFile, kNames, kName, kMetadata, kFields, kNumbers, kEnd };

  bool start_name(const std::string& name) {
    if (name.size() > kMaxNameBytes || name.empty() || !is_valid_utf8(name)) {
      error_ = fmt::format("the tensor name '{}' has {} bytes, expected UTF-8 of 1 to {}",
                           printable(name), name.size(), kMaxNameBytes);
      return false;
    }
    if (!names_.insert(name).second) return say_twice(name);
    if (names_.size() > kMaxTensors) {
      error_ = fmt::format("there are more than {} tensors", kMaxTensors);
      return false;
    }
    name_ = name;
    is_metadata_ = name == "__metadata__";
    level_ = Level::kName;
    return true;
  }
  bool say_twice(std::string_view key) {
    error_ = fmt::format("'{}' comes twice", printable(key));
    return false;
  }
  bool refuse(std::string_view what) {
    error_ = level_ == Level::kFile
                 ? fmt::format("the header is {}, expected an object", what)
                 : fmt::format("'{}' has {} where none may be", printable(name_), what);
    return false;
  }

  Metadata* metadata_;
  Level level_ = Level::kFile;
  std::string name_, field_;
  bool is_metadata_ = false;
  size_t metadata_entries_ = 0;
  std::unordered_set<std::string> names_, seen_;
  std::string error_;
};

StoredTensor tensor_of(const Entry& entry, std::span<const std::byte> data,
                       const std::string& file) {
  const Format* format = format_of_dtype(entry.dtype);
  if (format == nullptr) {
    fail("'{}': tensor '{}' has the dtype '{}', which is not supported yet", file,
         printable(entry.name), printable(entry.dtype));
  }
  if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1] ||
      entry.offsets[1] > data.size()) {
    fail("'{}': tensor '{}' lies at {}, expected [begin, end] within the {} bytes of data", file,
         printable(entry.name), fmt::format("[{}]", fmt::join(entry.offsets, ", ")), data.size());
  }
  StoredTensor tensor;
  tensor.name = entry.name;
  tensor.format = format;
  tensor.shape.assign(entry.shape.rbegin(), entry.shape.rend());
  if (tensor.shape.empty()) tensor.shape = {1};
  tensor.bytes = data.subspan(entry.offsets[0], entry.offsets[1] - entry.offsets[0]);
  // A block is one value, or a few of less than a byte, which fill whole bytes of each row.
  const uint32_t block = format->block_elements;
  uint64_t size = format->block_bytes;
  bool fits =
      tensor.shape[0] % block == 0 && !__builtin_mul_overflow(size, tensor.shape[0] / block, &size);
  for (const uint64_t axis : std::span(tensor.shape).subspan(1))
    fits = fits && !__builtin_mul_overflow(size, axis, &size);
  if (!fits || size == 0 || size != tensor.bytes.size()) {
    fail("'{}': tensor '{}' has {} bytes, which are not [{}] in {}", file, printable(entry.name),
         tensor.bytes.size(), fmt::join(entry.shape, ", "), format->name);
  }
  // Convolutions of vision towers have more: the outer ones are counted together.
  for (; tensor.shape.size() > kMaxOwnAxes; tensor.shape.pop_back())
    tensor.shape[kMaxOwnAxes - 1] *= tensor.shape.back();
  return tensor;
}

}  // namespace

std::vector<StoredTensor> parse(std::span<const std::byte> bytes, std::string_view file_name,
                                Metadata* metadata) {
  const std::string file = printable(file_name, 400);
  uint64_t size = 0;
  if (bytes.size() < sizeof(size))
    fail("'{}' is no safetensors file: it ends in its first number", file);
  std::memcpy(&size, bytes.data(), sizeof(size));
  const auto rest = bytes.subspan(sizeof(size));
  if (size > kMaxHeaderBytes || size > rest.size()) {
    fail("'{}' is no safetensors file: its header would be of {} bytes, it has {} (at most {})",
         file, size, rest.size(), kMaxHeaderBytes);
  }
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), size);
  if (!text.starts_with('{'))
    fail("'{}' is no safetensors file: its header does not begin with '{{'", file);
  HeaderReader reader(metadata);
  if (!nlohmann::json::sax_parse(text, &reader)) fail("'{}': header: {}", file, reader.error());

  std::vector<StoredTensor> tensors;
  const auto data = rest.subspan(size);
  for (const Entry& entry : reader.entries) tensors.push_back(tensor_of(entry, data, file));
  std::ranges::sort(tensors, {}, [](const StoredTensor& t) { return t.bytes.data(); });
  size_t end = 0;
  for (const StoredTensor& tensor : tensors) {
    const auto begin = static_cast<size_t>(tensor.bytes.data() - data.data());
    if (begin != end) {
      fail("'{}': tensor '{}' begins at byte {} of the data, expected {}: {}", file,
           printable(tensor.name), begin, end, begin < end ? "two overlap" : "there is a hole");
    }
    end += tensor.bytes.size();
  }
  if (end != data.size())
    fail("'{}' has {} bytes of data, its tensors take {}", file, data.size(), end);
  return tensors;
}

}  // namespace tessera::safetensors
