#include "model/layer_choice.h"

#include "base/error.h"

namespace tessera {
namespace {

// Which layers are recurrent is said of each, and so is no matter of its number.
void require_no_turns(const Config& config) {
  const LayerConfig* first = nullptr;
  for (const LayerConfig& layer : config.layers) {
    if (layer.recurrent.kind != RecurrentKind::kNone || layer.heads == 0) continue;
    if (first == nullptr) first = &layer;
    if (layer.window != first->window || layer.chunk != first->chunk || layer.rope != first->rope)
      fail("the layers of this model take turns, which dropping some would confuse");
  }
}

}  // namespace

void require_droppable_layers(const Config& config) {
  if (config.layers.front().experts.count != config.layers.back().experts.count ||
      config.next_token_layers > 0) {
    fail("layers of this model that come first or last are of another kind: none can be cut");
  }
  require_no_turns(config);
}

std::vector<int> spread_layers(int layers, int count) {
  std::vector<int> chosen;
  for (int i = 0; i < count; ++i) {
    const int steps = count > 1 ? count - 1 : 1;
    chosen.push_back((2 * i * (layers - 1) + steps) / (2 * steps));  // to nearest
  }
  return chosen;
}

}  // namespace tessera
