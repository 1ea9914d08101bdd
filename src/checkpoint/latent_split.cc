#include "checkpoint/latent_split.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

struct HeadRows {
  uint64_t each = 0, first = 0, count = 0;  // rows of a head, and which of them
};

// Of each head some of its rows.
class RowsOfHeads final : public RowSource {
 public:
  RowsOfHeads(StoredTensor from, HeadRows rows)
      : from_(std::move(from)), rows_(rows), row_bytes_(from_.format->row_bytes(from_.columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<std::byte> buffer;
    for (uint64_t row = first; row < first + count;) {
      const uint64_t in_head = row % rows_.count;
      const uint64_t here = std::min(first + count - row, rows_.count - in_head);
      const uint64_t at = row / rows_.count * rows_.each + rows_.first + in_head;
      std::memcpy(out, from_.read(at, here, buffer).data(), here * row_bytes_);
      out += here * row_bytes_;
      row += here;
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  const StoredTensor from_;
  const HeadRows rows_;
  const uint64_t row_bytes_;
};

bool has_single_values(const StoredTensor& tensor) {
  return tensor.format->block_elements == 1 && tensor.order == nullptr;
}

// Of each head the first rows, as columns.
class TurnedHeads final : public RowSource {
 public:
  TurnedHeads(StoredTensor from, HeadRows rows)
      : from_(std::move(from)),
        rows_(rows),
        value_bytes_(has_single_values(from_) ? from_.format->block_bytes : sizeof(float)) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const uint64_t latent = from_.columns();
    for (uint64_t row = first; row < first + count;) {
      const uint64_t column = row % latent, here = std::min(first + count - row, latent - column);
      const std::shared_ptr<const std::vector<std::byte>> head = values_of(row / latent);
      for (uint64_t k = 0; k < rows_.count; ++k) {
        for (uint64_t r = 0; r < here; ++r) {
          std::memcpy(out + (r * rows_.count + k) * value_bytes_,
                      head->data() + (k * latent + column + r) * value_bytes_, value_bytes_);
        }
      }
      out += here * rows_.count * value_bytes_;
      row += here;
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  // One head is kept, since its rows are asked for a panel at a time.
  std::shared_ptr<const std::vector<std::byte>> values_of(uint64_t head) const {
    const std::lock_guard lock(mutex_);
    if (kept_ != nullptr && head == kept_head_) return kept_;
    const uint64_t row = head * rows_.each;
    std::vector<std::byte> bytes(rows_.count * from_.columns() * value_bytes_);
    if (has_single_values(from_)) {
      std::vector<std::byte> buffer;
      std::memcpy(bytes.data(), from_.read(row, rows_.count, buffer).data(), bytes.size());
    } else {
      std::vector<float> values(rows_.count * from_.columns());
      from_.decode(row, rows_.count, values);
      kF32.encode(values, bytes.data(), {});
    }
    kept_ = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    kept_head_ = head;
    return kept_;
  }

  const StoredTensor from_;
  const HeadRows rows_;
  const uint64_t value_bytes_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const std::vector<std::byte>> kept_;
  mutable uint64_t kept_head_ = 0;
};

}  // namespace

LatentParts split_latent(const StoredTensor& joined, uint64_t heads, uint64_t key) {
  const uint64_t latent = joined.columns(), rows = joined.rows();
  const uint64_t each = heads > 0 ? rows / heads : 0;
  if (heads == 0 || rows % heads != 0 || key == 0 || each <= key) {
    fail("tensor '{}' is {} x {}, which are no keys of {} and values for each of {} heads",
         printable(joined.name), latent, rows, key, heads);
  }
  if (!joined.format->supported())
    fail("tensor '{}' has format {}, which is not supported", printable(joined.name),
         joined.format->name);
  LatentParts parts{.keys = joined, .values = joined};
  parts.keys.shape = {key, latent, heads};
  parts.keys.format = has_single_values(joined) ? joined.format : &kF32;
  parts.keys.order = nullptr;
  parts.keys.source = std::make_shared<const TurnedHeads>(joined, HeadRows{each, 0, key});
  parts.values.shape = {latent, each - key, heads};
  parts.values.source =
      std::make_shared<const RowsOfHeads>(joined, HeadRows{each, key, each - key});
  parts.keys.bytes = parts.values.bytes = {};
  return parts;
}

}  // namespace tessera
