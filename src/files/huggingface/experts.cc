#include "files/huggingface/experts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

constexpr std::string_view kOfExperts = ".experts.";
// Beside them, heads that have norms of their own.
constexpr auto kNumbered = std::to_array<std::string_view>({kOfExperts, ".norms."});

struct ExpertName {
  std::string all;  // without the number
  int number = 0;
};

std::optional<ExpertName> expert_name(std::string_view name) {
  size_t begin = std::string_view::npos;
  for (const std::string_view part : kNumbered) {
    if (const size_t at = name.find(part); at != std::string_view::npos) begin = at + part.size();
  }
  if (begin == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(begin);
  ExpertName found;
  const auto [end, error] = std::from_chars(rest.begin(), rest.end(), found.number);
  if (error != std::errc() || end == rest.end() || *end != '.' || found.number < 0)
    return std::nullopt;
  found.all = std::string(name.substr(0, begin)) + std::string(end + 1, rest.end());
  return found;
}

class StackedRows final : public RowSource {
 public:
  explicit StackedRows(std::vector<StoredTensor> parts)
      : parts_(std::move(parts)),
        rows_each_(parts_[0].rows()),
        row_bytes_(parts_[0].format->row_bytes(parts_[0].columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<std::byte> buffer;
    for (uint64_t row = first; row < first + count;) {
      const uint64_t in_part = row % rows_each_;
      const uint64_t here = std::min(first + count - row, rows_each_ - in_part);
      const auto rows = parts_[row / rows_each_].read(in_part, here, buffer);
      out = std::copy_n(rows.begin(), here * row_bytes_, out);
      row += here;
    }
  }
  std::vector<std::span<const std::byte>> stored() const override {
    std::vector<std::span<const std::byte>> all;
    for (const StoredTensor& part : parts_) {
      const auto spans = part.stored();
      all.insert(all.end(), spans.begin(), spans.end());
    }
    return all;
  }

 private:
  const std::vector<StoredTensor> parts_;
  const uint64_t rows_each_, row_bytes_;
};

StoredTensor stack(const std::string& name, std::map<int, StoredTensor> experts) {
  const StoredTensor& first = experts.begin()->second;
  std::vector<StoredTensor> parts;
  for (const auto& [number, expert] : experts) {
    if (number != static_cast<int>(parts.size())) {
      fail("tensor '{}' of expert {} is missing", printable(name), parts.size());
    }
    if (expert.format != first.format || expert.shape != first.shape || expert.order != nullptr ||
        expert.shape.size() > 2) {
      fail("tensor '{}' is {} x {} in {}; experts must be matrices of one shape and one format",
           printable(expert.name), expert.columns(), expert.rows(), expert.format->name);
    }
    parts.push_back(expert);
  }
  StoredTensor all = first;
  all.name = name;
  all.shape = {first.columns(), first.rows(), parts.size()};
  if (first.shape.size() == 1) all.shape = {first.columns(), parts.size()};
  all.bytes = {};
  all.source = std::make_shared<const StackedRows>(std::move(parts));
  return all;
}

}  // namespace

std::string name_of_expert(std::string_view all, uint64_t expert) {
  const size_t at = all.find(kOfExperts);
  if (at == std::string_view::npos) fail("tensor '{}' is none of experts", printable(all));
  return fmt::format("{}{}.{}", all.substr(0, at + kOfExperts.size()), expert,
                     all.substr(at + kOfExperts.size()));
}

std::vector<StoredTensor> stack_experts(std::vector<StoredTensor> tensors) {
  std::map<std::string, std::map<int, StoredTensor>, std::less<>> experts;
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    const auto name = expert_name(tensor.name);
    if (!name) {
      result.push_back(std::move(tensor));
      continue;
    }
    auto& known = experts[name->all];
    if (known.empty()) {  // a place for all of them
      StoredTensor place;
      place.name = name->all;
      result.push_back(std::move(place));
    }
    const std::string said = tensor.name;
    if (!known.emplace(name->number, std::move(tensor)).second)
      fail("tensor '{}' is there under another name, too", printable(said));
  }
  for (StoredTensor& tensor : result) {
    const auto found = experts.find(tensor.name);
    if (found != experts.end() && tensor.format == nullptr)
      tensor = stack(found->first, std::move(found->second));
  }
  return result;
}

}  // namespace tessera::huggingface
