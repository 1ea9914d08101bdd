#include "model/lora.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include "base/assert.h"
#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

// How A and B of some parts are kept: as they are stored if that is one format of 16 bits, else in
// F32. Beside weights that meet activations of 8 bits, F16 is far more than enough, and half of
// what a step has to read.
const Format& format_of(std::span<const StoredTensor* const> tensors, const Matrix& adapted) {
  const Format* first = tensors.front()->format;
  const bool alike =
      std::ranges::all_of(tensors, [&](const StoredTensor* t) { return t->format == first; });
  if (alike && (first == &kF16 || first == &kBF16)) return *first;
  return adapted.dot_rows == adapted.rows ? kF16 : kF32;
}

// The power of two that brings a factor's largest value to the top of F16's range, so that values
// 2^28 times smaller keep all of the bits that F16 has.
int exponent_for_f16(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest > 0 && std::isfinite(largest) ? 14 - std::ilogb(largest) : 0;
}

// How one adapter's factors are kept: times 2^down and 2^up, which its scale takes off again.
struct Kept {
  int down = 0, up = 0;  // exponents
  float scale;
};

Kept keep(const StoredLowRank& one, const Format& format) {
  Kept kept{.scale = one.scale};
  if (&format != &kF16 || (one.down.format == &kF16 && one.up.format == &kF16)) return kept;
  kept.down = exponent_for_f16(one.down), kept.up = exponent_for_f16(one.up);
  kept.scale = std::ldexp(one.scale, -(kept.down + kept.up));
  return kept;
}

// Rows of a tensor, times 2^exponent, in a float format.
class Rows {
 public:
  Rows(const StoredTensor& tensor, const Format& format, int exponent, int first, int count) {
    const auto begin = static_cast<uint64_t>(first), rows = static_cast<uint64_t>(count);
    if (tensor.format == &format && exponent == 0) {
      const auto read = tensor.read(begin, rows, bytes_);
      if (bytes_.empty()) bytes_.assign(read.begin(), read.end());
    } else {
      std::vector<float> values(rows * tensor.columns());
      tensor.decode(begin, rows, values);
      for (float& value : values) value = std::ldexp(value, exponent);
      bytes_.resize(format.row_bytes(values.size()));
      format.encode(values, bytes_.data(), {});
    }
    part_ = {.format = &format, .bytes = bytes_, .rows = count};
  }
  const Backend::WeightPart& part() const { return part_; }

 private:
  std::vector<std::byte> bytes_;
  Backend::WeightPart part_;
};

}  // namespace

void LoraAdapter::matrix(std::string_view, std::span<const StoredRows> parts, int columns,
                         std::unique_ptr<Matrix>& into) {
  std::vector<const StoredTensor*> tensors;
  std::vector<std::pair<StoredRows, const StoredLowRank*>> adapted;
  std::vector<int> first_rows;
  int rows = 0;
  for (const StoredRows& part : parts) {
    const StoredLowRank* one = stored_->find({part.role, layer_});
    if (one != nullptr) {
      if (part.first == 0) ++taken_;
      adapted.emplace_back(part, one);
      first_rows.push_back(rows);
      tensors.push_back(&one->down);
      tensors.push_back(&one->up);
    }
    rows += part.count;
  }
  if (adapted.empty()) return;
  TESSERA_ASSERT(into != nullptr && into->rows == rows && into->columns == columns);

  const Format& format = format_of(tensors, *into);
  std::deque<Rows> held;  // until all is loaded
  std::vector<Backend::LowRankDown> downs;
  std::vector<Backend::LowRankUp> ups;
  std::map<const StoredLowRank*, std::pair<int, Kept>> known;  // an A that several parts share
  for (size_t i = 0; i < adapted.size(); ++i) {
    const auto& [part, one] = adapted[i];
    if (!known.contains(one)) {
      const Kept kept = keep(*one, format);
      const int rank = static_cast<int>(one->down.rows());
      known.emplace(one, std::pair(static_cast<int>(downs.size()), kept));
      downs.push_back(
          {held.emplace_back(one->down, format, kept.down, 0, rank).part(), kept.scale});
    }
    const auto& [number, kept] = known.at(one);
    const auto& up = held.emplace_back(one->up, format, kept.up, part.first, part.count).part();
    ups.push_back({.weights = up, .first_row = first_rows[i], .down = number});
  }
  auto& low_rank = low_ranks_[into.get()];
  low_rank = backend_.load_low_rank(downs, ups, rows, columns);
  bytes_ += low_rank->bytes;
}

void LoraAdapter::finish() {
  if (taken_ != stored_->matrices.size()) {
    fail("adapter '{}' has {} matrices, the model has a place for {} of them",
         printable(stored_->name), stored_->matrices.size(), taken_);
  }
  stored_ = nullptr;
}

const LowRank* LoraAdapter::find(const Matrix& matrix) const {
  const auto found = low_ranks_.find(&matrix);
  return found == low_ranks_.end() ? nullptr : found->second.get();
}

StepAdapters::StepAdapters(std::span<const std::unique_ptr<LoraAdapter>> adapters,
                           std::span<const AdapterMix* const> mixes) {
  std::map<int, Group> groups;
  for (size_t row = 0; row < mixes.size(); ++row) {
    if (mixes[row] == nullptr) continue;
    for (const AdapterUse& use : *mixes[row]) {
      TESSERA_ASSERT(use.adapter >= 0 && static_cast<size_t>(use.adapter) < adapters.size());
      Group& group = groups[use.adapter];
      group.adapter = adapters[static_cast<size_t>(use.adapter)].get();
      TESSERA_ASSERT(group.rows.empty() || group.rows.back() < static_cast<int32_t>(row));
      group.rows.push_back(static_cast<int32_t>(row));
      group.scales.push_back(use.scale);
    }
  }
  for (auto& [number, group] : groups) groups_.push_back(std::move(group));
}

std::span<const LowRankRows> StepAdapters::added_to(const Matrix& matrix) const {
  added_.clear();
  for (const Group& group : groups_) {
    if (const LowRank* weights = group.adapter->find(matrix))
      added_.push_back({weights, group.rows, group.scales});
  }
  return added_;
}

}  // namespace tessera
