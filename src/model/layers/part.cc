#include "model/layers/part.h"

#include <algorithm>

#include "base/assert.h"

namespace tessera {

void Workspace::reserve(Slot slot, int columns) {
  columns_[slot] = std::max(columns_[slot], columns);
}

int Workspace::widest() const {
  return *std::ranges::max_element(columns_);
}

void Workspace::allocate(Backend& backend, int rows) {
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (columns_[slot] > 0) tensors_[slot] = backend.allocate(rows, columns_[slot]);
  }
}

Tensor Workspace::take(Slot slot, int rows, int columns) const {
  return tensors_[slot].top(rows).slice(0, columns);
}

Tensor Workspace::take_several(Slot slot, int rows, int each, int columns) const {
  const Tensor whole = tensors_[slot].top(rows);
  TESSERA_ASSERT(each * columns <= whole.columns && whole.columns <= whole.stride);
  return {whole.memory, whole.offset, rows * each, columns, columns};
}

void Step::show_to_taps(int layer, TapPlace place, Tensor x) const {
  for (const Tap& tap : taps_) {
    if (tap.layer != layer || tap.point != place.point || tap.expert != place.expert) continue;
    if (tap.rows.empty()) {
      tap.read(x);
      continue;
    }
    const Tensor chosen =
        workspace_.take(Workspace::kTapped, static_cast<int>(tap.rows.size()), x.columns);
    backend.gather_rows(x, tap.rows, chosen);
    tap.read(chosen);
  }
}

}  // namespace tessera
