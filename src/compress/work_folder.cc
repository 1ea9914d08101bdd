#include "compress/work_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/printable.h"

namespace tessera {
namespace {

// The machine's own byte order: a run goes on where it began.
constexpr std::string_view kLayerMagic = "tessera layer 1\n", kRowsMagic = "tessera rows 1\n\n";
constexpr const char *kRunName = "run.txt", *kRowsName = "rows.bin";

struct LayerEntry {
  uint64_t tensor, bytes, kept_rows;
  double relative_error;
  float rounding;
  uint32_t unused;
};

template <typename T>
std::span<const std::byte> bytes_of_value(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// Takes a file that was written here apart; it may have been tampered with since.
class WorkReader {
 public:
  WorkReader(const std::filesystem::path& path, std::string_view magic) : path_(path), file_(path) {
    left_ = file_.bytes();
    const auto found = take(magic.size());
    if (std::memcmp(found.data(), magic.data(), magic.size()) != 0) refuse();
  }
  std::span<const std::byte> take(uint64_t size) {
    if (size > left_.size()) refuse();
    const auto taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  template <typename T>
  T take_value() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  bool is_at_end() const { return left_.empty(); }
  [[noreturn]] void refuse() const {
    fail("'{}' is not what was written there; remove the folder", printable(path_.string(), 400));
  }

 private:
  std::filesystem::path path_;
  MappedFile file_;
  std::span<const std::byte> left_;
};

std::optional<std::string> text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

// The first line in which two runs differ, as each has it.
std::pair<std::string, std::string> first_difference(std::string_view a, std::string_view b) {
  const auto take_line = [](std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
  };
  while (!a.empty() || !b.empty()) {
    const std::string_view x = take_line(a), y = take_line(b);
    if (x != y) return {std::string(x), std::string(y)};
  }
  return {};
}

}  // namespace

WorkFolder::WorkFolder(std::filesystem::path folder, std::string_view run)
    : folder_(std::move(folder)) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error)
    fail("cannot make the folder '{}': {}", printable(folder_.string(), 400), error.message());
  const auto other = text_of(folder_ / kRunName);
  if (!other) {
    if (!std::filesystem::is_empty(folder_, error))
      fail("'{}' holds other files; name an empty folder", printable(folder_.string(), 400));
    write_text(folder_ / kRunName, run);
    return;
  }
  if (*other != run) {
    const auto [theirs, ours] = first_difference(*other, run);
    fail("'{}' holds the work of another run: {} there, {} here; remove it, or name another folder",
         printable(folder_.string(), 400), printable(theirs), printable(ours));
  }
  if (!std::filesystem::exists(folder_ / kRowsName, error)) return;
  finished_ = WorkReader(folder_ / kRowsName, kRowsMagic).take_value<int32_t>() + 1;
}

std::filesystem::path WorkFolder::layer_path(int layer) const {
  return folder_ / fmt::format("layer-{:04}.bin", layer);
}

void WorkFolder::keep(int layer, const LayerResult& result, std::span<const float> rows) {
  AtomicFile file(layer_path(layer));
  file.write(kLayerMagic);
  for (const auto& [tensor, bytes] : result.tensors) {
    LayerEntry entry{.tensor = tensor,
                     .bytes = bytes.size(),
                     .kept_rows = 0,
                     .relative_error = 0,
                     .rounding = 0,
                     .unused = 0};
    if (const auto found = result.summaries.find(tensor); found != result.summaries.end()) {
      entry.kept_rows = found->second.kept_rows;
      entry.relative_error = found->second.relative_error;
      entry.rounding = found->second.rounding;
    }
    file.write(bytes_of_value(entry));
    file.write(bytes);
  }
  file.commit();
  AtomicFile rows_file(folder_ / kRowsName);
  rows_file.write(kRowsMagic);
  rows_file.write(bytes_of_value(static_cast<int32_t>(layer)));
  rows_file.write(std::as_bytes(rows));
  rows_file.commit();
  finished_ = layer + 1;
}

WorkFolder::LayerResult WorkFolder::read(int layer) const {
  WorkReader reader(layer_path(layer), kLayerMagic);
  LayerResult result;
  while (!reader.is_at_end()) {
    const auto entry = reader.take_value<LayerEntry>();
    const auto bytes = reader.take(entry.bytes);
    result.tensors[entry.tensor].assign(bytes.begin(), bytes.end());
    QuantizedTensor& summary = result.summaries[entry.tensor];
    summary.kept_rows = entry.kept_rows;
    summary.relative_error = entry.relative_error;
    summary.rounding = entry.rounding;
  }
  return result;
}

void WorkFolder::read_rows(std::span<float> rows) const {
  WorkReader reader(folder_ / kRowsName, kRowsMagic);
  reader.take_value<int32_t>();
  const auto bytes = reader.take(rows.size_bytes());
  if (!reader.is_at_end()) reader.refuse();
  std::memcpy(rows.data(), bytes.data(), bytes.size());
}

std::string WorkFolder::find(std::string_view name) {
  names_.emplace_back(name);
  return text_of(folder_ / name).value_or("");
}

void WorkFolder::keep(std::string_view name, std::string_view value) {
  names_.emplace_back(name);
  write_text(folder_ / name, value);
}

void WorkFolder::remove() {
  std::error_code ignored;  // the work is done, whatever becomes of this
  for (const std::string& name : names_) std::filesystem::remove(folder_ / name, ignored);
  for (int layer = 0; layer < finished_; ++layer)
    std::filesystem::remove(layer_path(layer), ignored);
  for (const char* name : {kRowsName, kRunName}) std::filesystem::remove(folder_ / name, ignored);
  std::filesystem::remove(folder_, ignored);
}

}  // namespace tessera
