#include "backend/cpu/state_store.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/error.h"

namespace tessera::cpu {

StateStore::StateStore(const KvShape& shape) {
  for (const KvLayer& kv : shape.layers) {
    const StateLayer& layer = kv.state;
    if (layer.heads > 0 && (layer.key_heads < 1 || layer.heads % layer.key_heads != 0))
      fail("recurrent layer: {} heads cannot share {} keys", layer.heads, layer.key_heads);
    layers_.push_back({layer, state_floats_, change_floats_});
    state_floats_ = checked_add(state_floats_, layer.values(), "recurrent state");
    change_floats_ += static_cast<size_t>(layer.channels) +
                      static_cast<size_t>(layer.key_heads) * layer.key_dim +
                      static_cast<size_t>(layer.heads) * (layer.value_dim + size_t{1});
  }
  const auto bytes = [](uint64_t count, uint64_t floats) {
    return checked_mul(checked_mul(count, floats, "recurrent state"), sizeof(float),
                       "recurrent state");
  };
  states_ = AlignedBuffer(bytes(static_cast<uint64_t>(shape.states), state_floats_));
  changes_ = AlignedBuffer(bytes(static_cast<uint64_t>(shape.rows), change_floats_));
}

const float* StateStore::inputs(int32_t state, int layer) const {
  if (state == kNoState) return nullptr;
  TESSERA_ASSERT(state >= 0 && (static_cast<size_t>(state) + 1) * state_floats_ * sizeof(float) <=
                                   states_.size());
  return states_.as<float>().data() + static_cast<size_t>(state) * state_floats_ +
         layers_[static_cast<size_t>(layer)].offset;
}

const float* StateStore::matrix(int32_t state, int layer, int head) const {
  const float* first = inputs(state, layer);
  if (first == nullptr) return nullptr;
  const StateLayer& shape = this->layer(layer);
  return first + shape.inputs() +
         static_cast<size_t>(head) * static_cast<size_t>(shape.key_dim) * shape.value_dim;
}

float* StateStore::inputs(int32_t state, int layer) {
  return const_cast<float*>(std::as_const(*this).inputs(state, layer));
}

float* StateStore::matrix(int32_t state, int layer, int head) {
  return const_cast<float*>(std::as_const(*this).matrix(state, layer, head));
}

StateStore::Change StateStore::change(int row, int layer) {
  const Layer& at = layers_[static_cast<size_t>(layer)];
  TESSERA_ASSERT((static_cast<size_t>(row) + 1) * change_floats_ * sizeof(float) <=
                 changes_.size());
  Change change;
  change.input =
      changes_.as<float>().data() + static_cast<size_t>(row) * change_floats_ + at.change_offset;
  change.keys = change.input + at.shape.channels;
  change.written = change.keys + static_cast<size_t>(at.shape.key_heads) * at.shape.key_dim;
  change.decays = change.written + static_cast<size_t>(at.shape.heads) * at.shape.value_dim;
  return change;
}

}  // namespace tessera::cpu
