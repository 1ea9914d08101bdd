#include "compress/layer_quantizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "compress/recoder.h"

namespace tessera {
namespace {

// How the time of a layer is shared; for the progress only.
constexpr double kObserving = 0.5, kEncoding = 0.3;

}  // namespace

LayerQuantizer::LayerQuantizer(std::shared_ptr<const Checkpoint> checkpoint, const Device& device,
                               CalibrationText text, const Method& method,
                               const MethodOptions& options, std::span<const PlannedFormat> plan,
                               const LoraMerge& merge)
    : checkpoint_(std::move(checkpoint)),
      device_(device),
      calibration_(checkpoint_, device, std::move(text)),
      method_(method),
      options_(options),
      plan_(plan),
      merge_(merge) {}

bool LayerQuantizer::covers(size_t tensor) const {
  const StoredTensor& stored = checkpoint_->tensors()[tensor];
  const Format& format = *plan_[tensor].format;
  if (stored.place.layer < 0 || stored.place.layer >= calibration_.layers()) return false;
  if (!input_of(stored.place.role) || format.encode == nullptr) return false;
  return &format != stored.format || merge_.changes(stored) || method_.prunes;
}

std::vector<std::byte> LayerQuantizer::take(size_t tensor, std::span<QuantizedTensor> summaries,
                                            const Progress& progress) {
  while (!done_.contains(tensor)) quantize_next(summaries, progress);
  std::vector<std::byte> bytes = std::move(done_.at(tensor));
  done_.erase(tensor);
  return bytes;
}

void LayerQuantizer::quantize_next(std::span<QuantizedTensor> summaries, const Progress& progress) {
  const auto& tensors = checkpoint_->tensors();
  const int layer = next_++;
  std::map<const StoredTensor*, StoredTensor> sources, results;  // what differs from the checkpoint
  std::vector<size_t> matrices;
  double bytes = 0, encoded = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].place.layer != layer || !covers(i)) continue;
    matrices.push_back(i);
    bytes += static_cast<double>(tensors[i].stored_bytes());
    require_finite(tensors[i], *device_.pool);  // or the text's rows would not be, either
    if (merge_.changes(tensors[i])) sources.emplace(&tensors[i], merge_.merged(tensors[i]));
  }
  const auto find_in = [](const auto& map, const StoredTensor& tensor) -> const StoredTensor* {
    const auto found = map.find(&tensor);
    return found == map.end() ? nullptr : &found->second;
  };
  const auto say = [&](double share) {
    if (progress) progress(share * bytes);
  };

  using Kind = InputMoments::Kind;
  const Kind kind = method_.needs_hessian ? Kind::kHessian : Kind::kDiagonal;
  auto moments = calibration_.observe(
      layer, kind, [&](const StoredTensor& tensor) { return find_in(sources, tensor); },
      [&](double share) { say(kObserving * share); });

  std::map<TapPoint, std::unique_ptr<PreparedInputs>> prepared;
  for (const size_t i : matrices) {
    const StoredTensor& tensor = tensors[i];
    const StoredTensor* merged = find_in(sources, tensor);
    TapPoint point = *input_of(tensor.place.role);
    // Few tokens get most of the attention: errors of their values are everybody's.
    if (tensor.place.role == TensorRole::kValue && moments.contains(TapPoint::kValueInput))
      point = TapPoint::kValueInput;
    try {
      auto& inputs = prepared[point];
      if (inputs == nullptr) inputs = method_.prepare(moments.at(point), options_, *device_.pool);
      const auto encoder = inputs->encoder(*plan_[i].format, *device_.pool);
      done_[i] = recode(merged == nullptr ? tensor : *merged, *plan_[i].format, *encoder,
                        *device_.pool, summaries[i]);
    } catch (const Error& error) {
      fail("tensor '{}': {}", printable(tensor.name), error.what());
    }
    checkpoint_->release(tensor);
    StoredTensor result = tensor;
    result.format = plan_[i].format;
    result.bytes = done_[i];
    result.source = nullptr;
    result.order = nullptr;
    results.emplace(&tensor, std::move(result));
    encoded += static_cast<double>(tensor.stored_bytes());
    say(kObserving + kEncoding * encoded / bytes);
  }
  prepared.clear();
  moments.clear();
  if (layer + 1 == calibration_.layers()) return;
  calibration_.advance(
      layer, [&](const StoredTensor& tensor) { return find_in(results, tensor); },
      [&](double share) { say(kObserving + kEncoding + (1 - kObserving - kEncoding) * share); });
}

}  // namespace tessera
