#include "compress/layer_encoders.h"

#include "base/error.h"
#include "base/printable.h"
#include "compress/importance.h"

namespace tessera {

std::vector<std::unique_ptr<RowEncoder>> LayerEncoders::of(const StoredTensor& tensor,
                                                           const Format& format) {
  std::vector<std::unique_ptr<RowEncoder>> encoders;
  const auto point = observed_input(tensor.place.role, inputs_);  // none of a norm, a bias
  if (!point) {
    encoders.push_back(round_to_nearest(format));
  } else if (method_.prepare == nullptr) {
    encoders.push_back(method_.without_text(format, {}, options_));
  } else if (is_of_experts(*point) ? experts_ == 0 : !inputs_.contains(*point)) {
    fail("tensor '{}' belongs to no part that its layer has", printable(tensor.name));
  } else if (!is_of_experts(*point)) {
    encoders.push_back(at(*point, format));
  } else {
    for (int expert = 0; expert < experts_; ++expert)
      encoders.push_back(of_expert({*point, expert}, format));
  }
  return encoders;
}

std::unique_ptr<RowEncoder> LayerEncoders::at(TapPlace place, const Format& format) {
  auto& prepared = prepared_[place];
  if (prepared == nullptr) prepared = method_.prepare(inputs_.at(place), options_, pool_);
  return prepared->encoder(format, pool_);
}

std::unique_ptr<RowEncoder> LayerEncoders::of_expert(TapPlace place, const Format& format) {
  const auto inputs = inputs_.find(place);
  const auto rows = inputs == inputs_.end() ? 0.0 : static_cast<double>(inputs->second.rows());
  if (rows > 0 && rows >= fewest_rows_) return at(place, format);
  rounded_experts_.insert(place.expert);
  if (method_.prunes) return kMagnitude.without_text(format, {}, options_);
  return round_to_nearest(format, rows >= static_cast<double>(kFewestRows)
                                      ? inputs->second.importance()
                                      : std::vector<float>());
}

}  // namespace tessera
