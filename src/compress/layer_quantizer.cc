#include "compress/layer_quantizer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "compress/layer_encoders.h"
#include "compress/recoder.h"

namespace tessera {
namespace {

// How the time of a layer is shared; for the progress only.
constexpr double kObserving = 0.5, kEncoding = 0.3;

}  // namespace

LayerQuantizer::LayerQuantizer(std::shared_ptr<const Checkpoint> checkpoint, const Device& device,
                               CalibrationText text, const ChosenMethod& method,
                               const MethodOptions& options, std::span<const PlannedFormat> plan,
                               const LoraMerge& merge, WorkFolder* work)
    : checkpoint_(std::move(checkpoint)),
      device_(device),
      calibration_(checkpoint_, device, std::move(text)),
      method_(method),
      options_(options),
      plan_(plan),
      merge_(merge),
      work_(work) {
  if (method_.scaling != nullptr) find_folds();
}

bool LayerQuantizer::can_encode(size_t tensor) const {
  return plan_[tensor].format->encode != nullptr &&
         checkpoint_->tensors()[tensor].format->supported();
}

// Those of whose tensors all can be written anew.
void LayerQuantizer::find_folds() {
  const Checkpoint& model = *checkpoint_;
  int left_out = 0;
  for (int layer = 0; layer < calibration_.layers(); ++layer) {
    auto& folds = folds_.emplace_back();
    for (Fold& fold : folds_of(model, calibration_.config(), layer)) {
      std::vector<const StoredTensor*> tensors;
      for (const TensorRole role : fold.matrices) tensors.push_back(&model.require({role, layer}));
      for (const auto& divided : fold.divided)
        tensors.push_back(&model.require({divided.role, layer}));
      const bool fits = std::ranges::all_of(tensors, [&](const StoredTensor* tensor) {
        return can_encode(static_cast<size_t>(tensor - model.tensors().data()));
      });
      if (!fits) {
        ++left_out;
        continue;
      }
      scaled_.insert(tensors.begin(), tensors.end());
      folds.push_back(std::move(fold));
    }
  }
  if (left_out > 0) {
    spdlog::warn("{}: {} places keep their scales, for what lies there cannot be encoded",
                 method_.scaling->name, left_out);
  }
}

bool LayerQuantizer::covers(size_t tensor) const {
  const StoredTensor& stored = checkpoint_->tensors()[tensor];
  const Format& format = *plan_[tensor].format;
  if (scaled_.contains(&stored)) return true;
  if (stored.place.layer < 0 || stored.place.layer >= calibration_.layers()) return false;
  if (!input_of(stored.place.role) || format.encode == nullptr) return false;
  return &format != stored.format || merge_.changes(stored) || method_.method.prunes;
}

std::vector<std::byte> LayerQuantizer::take(size_t tensor, std::span<QuantizedTensor> summaries,
                                            const Progress& progress) {
  while (!done_.contains(tensor)) finish_next(summaries, progress);
  std::vector<std::byte> bytes = std::move(done_.at(tensor));
  done_.erase(tensor);
  return bytes;
}

uint64_t LayerQuantizer::planned_bytes(size_t tensor) const {
  const StoredTensor& stored = checkpoint_->tensors()[tensor];
  return plan_[tensor].format->row_bytes(stored.columns()) * stored.rows();
}

void LayerQuantizer::finish_next(std::span<QuantizedTensor> summaries, const Progress& progress) {
  const int layer = next_;
  if (work_ != nullptr && layer < work_->finished()) {
    ++next_;
    WorkFolder::LayerResult result = work_->read(layer);
    for (auto& [tensor, bytes] : result.tensors) {
      if (tensor >= plan_.size() || bytes.size() != planned_bytes(tensor))
        fail("the kept work has other tensors; remove its folder");
      const QuantizedTensor& kept = result.summaries.at(tensor);
      summaries[tensor].relative_error = kept.relative_error;
      summaries[tensor].kept_rows = kept.kept_rows;
      summaries[tensor].rounding = kept.rounding;
      done_[tensor] = std::move(bytes);
    }
    if (calibration_.model().reads_text()) {  // later layers may read what this one has read
      advance(layer, {});
    } else if (next_ == work_->finished() && next_ < calibration_.layers()) {
      work_->read_rows(calibration_.rows());
    }
    return;
  }
  quantize_next(summaries, progress);
  if (work_ == nullptr) return;
  WorkFolder::LayerResult result;
  for (size_t i = 0; i < summaries.size(); ++i) {
    if (checkpoint_->tensors()[i].place.layer != layer || !done_.contains(i)) continue;
    result.tensors.emplace(i, done_.at(i));
    result.summaries.emplace(i, summaries[i]);
  }
  work_->keep(layer, result, calibration_.rows());
}

void LayerQuantizer::quantize_next(std::span<QuantizedTensor> summaries, const Progress& progress) {
  const auto& tensors = checkpoint_->tensors();
  const int layer = next_++;
  ChangedTensors sources;
  std::vector<size_t> changing;
  double bytes = 0, encoded = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].place.layer != layer || !covers(i)) continue;
    changing.push_back(i);
    bytes += static_cast<double>(tensors[i].stored_bytes());
    require_finite(tensors[i], *device_.pool);  // or the text's rows would not be, either
    if (merge_.changes(tensors[i])) sources.emplace(&tensors[i], merge_.merged(tensors[i]));
  }
  const auto source_of = [&](const StoredTensor& tensor) -> const StoredTensor* {
    const auto found = sources.find(&tensor);
    return found == sources.end() ? nullptr : &found->second;
  };
  const auto say = [&](double share) {
    if (progress) progress(share * bytes);
  };

  using Kind = InputMoments::Kind;
  const Kind kind = method_.needs_hessian() ? Kind::kHessian : Kind::kDiagonal;
  auto moments =
      calibration_.observe(layer, kind, source_of, [&](double share) { say(kObserving * share); });

  if (method_.scaling != nullptr) {
    scale_layer(
        *method_.scaling, *checkpoint_, folds_[static_cast<size_t>(layer)], layer,
        [&](const StoredTensor& tensor) -> const Format& {
          return *plan_[static_cast<size_t>(&tensor - tensors.data())].format;
        },
        moments, sources, *device_.pool);
  }

  const int experts = calibration_.config().layers[static_cast<size_t>(layer)].experts.count;
  std::optional<LayerEncoders> encoders(std::in_place, method_.method, options_, moments,
                                        calibration_.tokens(), experts, *device_.pool);
  for (const size_t i : changing) {
    const StoredTensor& tensor = tensors[i];
    const StoredTensor* source = source_of(tensor);
    try {
      const auto each = encoders->of(tensor, *plan_[i].format);
      done_[i] = recode(source == nullptr ? tensor : *source, *plan_[i].format, each, *device_.pool,
                        summaries[i]);
    } catch (const Error& error) {
      fail("tensor '{}': {}", printable(tensor.name), error.what());
    }
    checkpoint_->release(tensor);
    encoded += static_cast<double>(tensor.stored_bytes());
    say(kObserving + kEncoding * encoded / bytes);
  }
  experts_ += experts;
  rounded_experts_ += static_cast<int>(encoders->rounded_experts().size());
  encoders.reset();
  moments.clear();
  if (layer + 1 == calibration_.layers()) return warn_of_rounded_experts();
  advance(layer, [&](double share) {
    say(kObserving + kEncoding + (1 - kObserving - kEncoding) * share);
  });
}

void LayerQuantizer::advance(int layer, const Calibration::Progress& progress) {
  ChangedTensors results;
  for (const auto& [number, bytes] : done_) {
    const StoredTensor& tensor = checkpoint_->tensors()[number];
    if (tensor.place.layer != layer) continue;
    StoredTensor result = tensor;
    result.format = plan_[number].format;
    result.bytes = bytes;
    result.source = nullptr;
    result.order = nullptr;
    results.emplace(&tensor, std::move(result));
  }
  const auto instead = [&](const StoredTensor& tensor) -> const StoredTensor* {
    const auto found = results.find(&tensor);
    return found == results.end() ? nullptr : &found->second;
  };
  calibration_.advance(layer, instead, progress);
}

void LayerQuantizer::warn_of_rounded_experts() const {
  if (rounded_experts_ == 0) return;
  spdlog::warn("{} of {} experts were chosen by fewer than {} % of the text's tokens: they are {}",
               rounded_experts_, experts_, 100 * LayerEncoders::kLeastShare,
               method_.method.prunes ? "pruned by their weights alone" : "rounded to nearest");
}

}  // namespace tessera
