// Sources: tools/imatrix/imatrix.cpp and tools/quantize/quantize.cpp in llama.cpp.
//
// GGUF: general.type "imatrix"; imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; for each
// tensor NAME.in_sum2, F32 [columns, matrices], and NAME.counts, F32 [1, matrices].
//
// .dat, little-endian: i32 entries; for each i32 length and bytes of the name, i32 calls, i32
// values, and f32 means times calls; then, in files that are not too old, i32 chunks, and i32
// length and bytes of the dataset's name.
#include "files/imatrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"

namespace tessera {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr int32_t kMostEntries = 1 << 20, kMostName = 1 << 12;

std::string shown(const std::filesystem::path& path) {
  return printable(path.string(), 400);
}

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

void check_values(const std::filesystem::path& path, std::string_view name,
                  std::span<const float> values) {
  for (const float value : values) {
    if (std::isfinite(value) && value >= 0) continue;
    fail("'{}': '{}' holds {}, expected finite values >= 0", shown(path), printable(name), value);
  }
}

Imatrix read_gguf(const std::filesystem::path& path) {
  const GgufFile file = GgufFile::open(path);
  const GgufMetadata& metadata = file.metadata();
  const std::string type = metadata.get_string("general.type").value_or("");
  if (type != "imatrix") {
    fail("'{}' is no importance matrix: its general.type is '{}', expected 'imatrix'", shown(path),
         printable(type));
  }
  Imatrix imatrix;
  imatrix.datasets = metadata.get_strings("imatrix.datasets").value_or(std::vector<std::string>());
  const auto count = [&](const char* key) {
    return static_cast<uint32_t>(
        std::clamp<int64_t>(metadata.get_int(key).value_or(0), 0, UINT32_MAX));
  };
  imatrix.chunks = count("imatrix.chunk_count");
  imatrix.chunk_tokens = count("imatrix.chunk_size");
  for (const StoredTensor& sums : file.tensors()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const StoredTensor* counts = file.find_tensor(name + std::string(kCounts));
    if (counts == nullptr)
      fail("'{}': tensor '{}{}' is missing", shown(path), printable(name), kCounts);
    if (sums.format != &kF32 || counts->format != &kF32 || counts->elements() != sums.rows()) {
      fail("'{}': '{}' and its counts are {} [{}, {}] and {} [{}], expected F32 and a count a row",
           shown(path), printable(sums.name), sums.format->name, sums.columns(), sums.rows(),
           counts->format->name, counts->elements());
    }
    Imatrix::Entry entry{.sums = values_of(sums), .counts = values_of(*counts)};
    check_values(path, sums.name, entry.sums);
    check_values(path, counts->name, entry.counts);
    imatrix.entries.emplace(name, std::move(entry));
  }
  if (imatrix.entries.empty()) fail("'{}' holds no importance of any tensor", shown(path));
  return imatrix;
}

// Fields, each checked against what is left of the file.
class DatReader {
 public:
  DatReader(std::span<const std::byte> bytes, const std::filesystem::path& path)
      : bytes_(bytes), path_(path) {}

  bool at_end() const { return bytes_.empty(); }
  std::span<const std::byte> take(size_t size) {
    if (size > bytes_.size()) {
      fail("'{}': an importance matrix ends after {} of {} bytes of a field", shown(path_),
           bytes_.size(), size);
    }
    const auto field = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return field;
  }
  int32_t integer(std::string_view what, int32_t least, int32_t most) {
    int32_t value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    if (value < least || value > most) {
      fail("'{}' is no importance matrix: {} is {}, expected {} to {}", shown(path_), what, value,
           least, most);
    }
    return value;
  }
  std::string text(std::string_view what, int32_t least) {
    const auto field = take(static_cast<size_t>(integer(what, least, kMostName)));
    return {reinterpret_cast<const char*>(field.data()), field.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::filesystem::path& path_;
};

Imatrix read_dat(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  DatReader reader(bytes, path);
  Imatrix imatrix;
  const int32_t count = reader.integer("the number of entries", 1, kMostEntries);
  for (int32_t i = 0; i < count; ++i) {
    const std::string name = reader.text("the length of a name", 1);
    const int32_t calls = reader.integer("a number of calls", 0, INT32_MAX);
    const int32_t values = reader.integer("a number of values", 1, INT32_MAX);
    const auto field = reader.take(static_cast<size_t>(values) * sizeof(float));
    Imatrix::Entry entry{.sums = std::vector<float>(static_cast<size_t>(values)),
                         .counts = {static_cast<float>(calls)}};
    std::memcpy(entry.sums.data(), field.data(), field.size());
    check_values(path, name, entry.sums);
    imatrix.entries.emplace(name, std::move(entry));
  }
  if (reader.at_end()) return imatrix;
  imatrix.chunks = static_cast<uint32_t>(reader.integer("the number of chunks", 0, INT32_MAX));
  if (!reader.at_end()) imatrix.datasets = {reader.text("the length of the dataset's name", 0)};
  return imatrix;
}

std::vector<std::byte> bytes_of(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

void write_gguf(const Imatrix& imatrix, const std::filesystem::path& path) {
  GgufMetadata metadata;
  metadata.set("general.type", {std::string("imatrix")});
  metadata.set("imatrix.datasets", {GgufValue::Array(imatrix.datasets)});
  metadata.set("imatrix.chunk_count", {imatrix.chunks});
  metadata.set("imatrix.chunk_size", {imatrix.chunk_tokens});
  GgufWriter writer(std::move(metadata));
  std::vector<const std::vector<float>*> contents;
  for (const auto& [name, entry] : imatrix.entries) {
    const uint64_t matrices = entry.matrices();
    writer.declare(name + std::string(kSums), kF32, {entry.columns(), matrices});
    writer.declare(name + std::string(kCounts), kF32, {1, matrices});
    contents.insert(contents.end(), {&entry.sums, &entry.counts});
  }
  writer.write(path, [&](size_t i) { return bytes_of(*contents[i]); });
}

void write_dat(const Imatrix& imatrix, const std::filesystem::path& path) {
  AtomicFile file(path);
  const auto write_integer = [&](size_t value) {
    const auto number = static_cast<int32_t>(std::min<size_t>(value, INT32_MAX));
    file.write(std::as_bytes(std::span(&number, 1)));
  };
  const auto write_text = [&](const std::string& text) {
    write_integer(text.size());
    file.write(text);
  };
  write_integer(imatrix.entries.size());
  for (const auto& [name, entry] : imatrix.entries) {
    // All matrices of a tensor share one number of calls here, so their means are scaled to it.
    const auto calls = static_cast<float>(std::max(1u, imatrix.chunks));
    std::vector<float> values = entry.sums;
    for (size_t i = 0; i < values.size(); ++i) {
      const float rows = entry.counts[i / entry.columns()];
      if (rows > 0) values[i] *= calls / rows;
    }
    write_text(name);
    write_integer(static_cast<size_t>(calls));
    write_integer(values.size());
    file.write(std::as_bytes(std::span(values)));
  }
  write_integer(imatrix.chunks);
  write_text(imatrix.datasets.empty() ? std::string() : imatrix.datasets.front());
  file.commit();
}

}  // namespace

std::vector<float> Imatrix::Entry::means(size_t matrix) const {
  const auto first = sums.begin() + static_cast<ptrdiff_t>(matrix * columns());
  std::vector<float> means(first, first + static_cast<ptrdiff_t>(columns()));
  const float rows = counts[matrix];
  for (float& mean : means) mean = rows > 0 ? mean / rows : 1.0f;
  return means;
}

Imatrix read_imatrix(const std::filesystem::path& path) {
  const MappedFile file(path);
  constexpr std::string_view kMagic = "GGUF";
  const auto bytes = file.bytes();
  const bool is_gguf =
      bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
  return is_gguf ? read_gguf(path) : read_dat(path, bytes);
}

void write_imatrix(const Imatrix& imatrix, const std::filesystem::path& path) {
  if (path.extension() == ".dat") return write_dat(imatrix, path);
  write_gguf(imatrix, path);
}

}  // namespace tessera
