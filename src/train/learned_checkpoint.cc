#include "train/learned_checkpoint.h"

#include <utility>

#include "files/gguf/tensor_names.h"

namespace tessera::train {

LearnedCheckpoint::LearnedCheckpoint(const Learned& learned, const Checkpoint& model)
    : model_(model) {
  for (const auto& entry : learned.whole) {
    const Parameter& parameter = entry.second;
    StoredTensor tensor;
    tensor.name = parameter.name;
    tensor.format = &kF32;
    tensor.shape = {static_cast<uint64_t>(parameter.columns)};
    if (parameter.rows > 1) tensor.shape.push_back(static_cast<uint64_t>(parameter.rows));
    tensor.bytes = std::as_bytes(std::span(parameter.values));
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
