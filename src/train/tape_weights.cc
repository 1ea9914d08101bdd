#include "train/tape_weights.h"

namespace tessera::train {

void LearnedBinder::matrix(std::string_view, std::span<const StoredRows> parts, int columns,
                           std::unique_ptr<Matrix>& into) {
  auto& matrix = static_cast<TapeMatrix&>(*into);
  int first = 0;
  for (const StoredRows& part : parts) {
    const TensorPlace place{part.role, layer_};
    if (const auto found = learned_.whole.find(place); found != learned_.whole.end()) {
      float* gradient = found->second.gradient.data();
      matrix.whole.push_back(
          {first, part.count,
           gradient + static_cast<size_t>(part.first) * static_cast<size_t>(columns)});
    }
    if (const auto found = learned_.low_rank.find(place); found != learned_.low_rank.end())
      matrix.low_rank.push_back({first, part.count, part.first, &found->second});
    first += part.count;
  }
}

void LearnedBinder::vector(std::initializer_list<StoredRows> parts, Presence,
                           std::unique_ptr<Vector>& into) {
  if (into == nullptr) return;
  int first = 0;
  for (const StoredRows& part : parts) {
    const auto found = learned_.whole.find({part.role, layer_});
    if (found != learned_.whole.end()) {
      static_cast<TapeVector&>(*into).whole.push_back(
          {first, part.count, found->second.gradient.data() + part.first});
    }
    first += part.count;
  }
}

}  // namespace tessera::train
