#include "compress/lora_merge.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/open_adapter.h"

namespace tessera {
namespace {

class MergedRows final : public RowSource {
 public:
  explicit MergedRows(const StoredTensor& base) : base_(base) {}

  void add(const StoredLowRank& low_rank, float scale) {
    Addend& addend = addends_.emplace_back(&low_rank.up, scale * low_rank.scale);
    addend.down.resize(low_rank.down.elements());
    low_rank.down.decode(0, low_rank.down.rows(), addend.down);
  }

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const uint64_t columns = base_.columns();
    std::vector<float> values(count * columns), product(columns);
    base_.decode(first, count, values);
    for (const Addend& addend : addends_) {
      const uint64_t rank = addend.up->columns();
      std::vector<float> up(count * rank);
      addend.up->decode(first, count, up);
      for (uint64_t row = 0; row < count; ++row) {
        std::ranges::fill(product, 0.0f);
        for (uint64_t k = 0; k < rank; ++k) {
          const float factor = up[row * rank + k];
          const float* down = addend.down.data() + k * columns;
          for (uint64_t c = 0; c < columns; ++c) product[c] += factor * down[c];
        }
        float* to = values.data() + row * columns;
        for (uint64_t c = 0; c < columns; ++c) to[c] += addend.scale * product[c];
      }
    }
    kF32.encode(values, out, {});
  }
  std::vector<std::span<const std::byte>> stored() const override { return base_.stored(); }

 private:
  struct Addend {
    Addend(const StoredTensor* b, float s) : up(b), scale(s) {}
    const StoredTensor* up;
    float scale;
    std::vector<float> down;  // [rank, columns]
  };
  const StoredTensor& base_;
  std::vector<Addend> addends_;
};

}  // namespace

LoraMerge::LoraMerge(const std::vector<LoraFile>& files, const Checkpoint& model) {
  for (const auto& [path, scale] : files) {
    if (!std::isfinite(scale))
      fail("the scale of LoRA adapter '{}' is no number", printable(path, 400));
    adapters_.push_back({open_adapter(path, model), scale});
  }
}

bool LoraMerge::changes(const StoredTensor& tensor) const {
  return std::ranges::any_of(adapters_, [&](const Adapter& adapter) {
    return adapter.stored.find(tensor.place) != nullptr;
  });
}

StoredTensor LoraMerge::merged(const StoredTensor& tensor) const {
  auto rows = std::make_shared<MergedRows>(tensor);
  for (const auto& [stored, scale] : adapters_) {
    if (const StoredLowRank* one = stored.find(tensor.place)) rows->add(*one, scale);
  }
  StoredTensor result = tensor;
  result.format = &kF32;
  result.bytes = {};
  result.order = nullptr;
  result.source = std::move(rows);
  return result;
}

}  // namespace tessera
