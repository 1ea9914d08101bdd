#include "train/learned_checkpoint.h"

#include <utility>

#include "files/gguf/tensor_names.h"

namespace tessera::train {

LearnedCheckpoint::LearnedCheckpoint(const Learned& learned, const Checkpoint& model)
    : model_(model) {
  for (const auto& [place, parameter] : learned.whole) {
    StoredTensor tensor = stored_tensor(parameter, place);
    if (parameter.rows == 1) tensor.shape.pop_back();
    add_tensor(std::move(tensor));
  }
}

std::string LearnedCheckpoint::tensor_name(TensorPlace place) const {
  return gguf::tensor_name(place);
}

TensorPlace LearnedCheckpoint::tensor_place(std::string_view name) const {
  return gguf::tensor_place(name);
}

}  // namespace tessera::train
