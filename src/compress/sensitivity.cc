#include "compress/sensitivity.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "compress/disturbance.h"
#include "compress/importance.h"
#include "compress/noisy_rows.h"
#include "compress/output_errors.h"
#include "compress/recoder.h"

namespace tessera {
namespace {

// Chunks of the text that inputs are observed on, half of them by the method and half to judge what
// it made of them: on what it has seen a method looks better than it is, the more so the wider a
// matrix.
constexpr int kObservedChunks = 16;
// What goes through the model twice a layer.
constexpr int kPieces = 4, kPieceTokens = 128;
// `count` chunks of the text, evenly spaced: numbers first, first + 2, ... of 2 * count.
CalibrationText every_second_chunk(const CalibrationText& text, int first, int count) {
  CalibrationText some{.tokens = {}, .length = text.length};
  for (int i = 0; i < count; ++i) {
    const int chunk = std::min((2 * i + first) * text.chunks() / (2 * count), text.chunks() - 1);
    const auto begin = text.tokens.begin() + static_cast<ptrdiff_t>(chunk) * text.length;
    some.tokens.insert(some.tokens.end(), begin, begin + text.length);
  }
  return some;
}

std::vector<std::vector<Token>> pieces_of(const CalibrationText& text) {
  const int count = std::min(kPieces, text.chunks()), length = std::min(kPieceTokens, text.length);
  std::vector<std::vector<Token>> pieces;
  for (int i = 0; i < count; ++i) {
    const auto begin =
        text.tokens.begin() + static_cast<ptrdiff_t>(i * text.chunks() / count) * text.length;
    pieces.emplace_back(begin, begin + length);
  }
  return pieces;
}

class ErrorMeter {
 public:
  explicit ErrorMeter(const MeasuredModel& model) : model_(model), pool_(*model.device.pool) {}

  Sensitivity errors_of(size_t number, PreparedInputs* method, const InputMoments* inputs) {
    const StoredTensor& tensor = stored(number);
    const StoredTensor& source = source_of(tensor);
    Sensitivity found{.tensor = number, .formats = {}, .errors = {}};
    std::vector<EncodedFormat> formats;
    for (const Format* format : possible_formats(tensor)) {
      if (format == tensor.format && !changes(tensor)) {
        found.formats.push_back(format);  // it is copied
        found.errors.push_back(0);
        continue;
      }
      try {
        formats.push_back({format, method == nullptr ? nearest(tensor, *format)
                                                     : method->encoder(*format, pool_)});
      } catch (const Error&) {  // the method does not know the format
        if (format->block_elements == 1) throw;
      }
    }
    const auto errors = output_errors(source, formats, inputs, pool_);
    for (size_t f = 0; f < formats.size(); ++f) {
      found.formats.push_back(formats[f].format);
      found.errors.push_back(errors[f]);
    }
    model_.checkpoint->release(tensor);
    return found;
  }

  // The tensor with an error, and the size of that.
  struct Disturbed {
    std::vector<std::byte> bytes;
    StoredTensor tensor;
    double error = 0;
  };
  Disturbed disturb(size_t number, const InputMoments* inputs) {
    const StoredTensor& tensor = stored(number);
    std::vector<EncodedFormat> noisy;
    noisy.push_back({&kF16, noisy_rows(tensor.columns())});
    Disturbed result;
    result.error = output_errors(source_of(tensor), noisy, inputs, pool_).front();
    QuantizedTensor unused;
    result.bytes = recode(source_of(tensor), kF16, *noisy.front().encoder, pool_, unused);
    result.tensor = tensor;
    result.tensor.format = &kF16;
    result.tensor.bytes = result.bytes;
    result.tensor.source = nullptr;
    result.tensor.order = nullptr;
    model_.checkpoint->release(tensor);
    return result;
  }

  const StoredTensor& stored(size_t number) const { return model_.checkpoint->tensors()[number]; }
  // With what adapters add.
  const StoredTensor& source_of(const StoredTensor& tensor) {
    if (!model_.merge.changes(tensor)) return tensor;
    return merged_.try_emplace(&tensor, model_.merge.merged(tensor)).first->second;
  }
  // What is loaded: a tensor with an error, and all others as they are to be encoded.
  Loader::Instead instead(const StoredTensor* disturbed = nullptr) {
    return [this, disturbed](const StoredTensor& tensor) -> const StoredTensor* {
      if (disturbed != nullptr && tensor.place == disturbed->place) return disturbed;
      return model_.merge.changes(tensor) ? &source_of(tensor) : nullptr;
    };
  }
  void say(double share) const {
    if (model_.progress) model_.progress(share);
  }

 private:
  bool changes(const StoredTensor& tensor) const {
    return model_.method.method.prunes || tensor.order != nullptr || model_.merge.changes(tensor);
  }
  std::unique_ptr<RowEncoder> nearest(const StoredTensor& tensor, const Format& format) const {
    return encoder_without_text(model_.method.method, tensor.place, format,
                                importance_of(model_.imatrix, *model_.checkpoint, tensor),
                                model_.method_options);
  }

  const MeasuredModel& model_;
  ThreadPool& pool_;
  std::map<const StoredTensor*, StoredTensor> merged_;
};

// A measurement whose text goes through the model.
class TextMeter {
 public:
  TextMeter(const MeasuredModel& model, std::span<const size_t> tensors,
            const CalibrationText& text)
      : model_(model),
        tensors_(tensors),
        meter_(model),
        kind_(model.method.needs_hessian() ? InputMoments::Kind::kHessian
                                           : InputMoments::Kind::kDiagonal),
        observed_(std::min(kObservedChunks / 2, (text.chunks() + 1) / 2)),
        fitted_(model.checkpoint, model.device, every_second_chunk(text, 0, observed_)),
        judged_(model.checkpoint, model.device, every_second_chunk(text, 1, observed_)),
        layers_(judged_.model()),
        disturbance_(layers_, *model.device.pool,
                     pieces_of(every_second_chunk(text, 1, observed_))) {}

  std::vector<Sensitivity> run() {
    begin_with_embedding();
    for (int layer = 0; layer < layers_.layers(); ++layer) {
      measure_layer(layer);
      // The later a layer, the more disturbed texts go through it.
      const double share = (layer + 1.0) / layers_.layers();
      meter_.say(share * share);
    }
    finish();
    return std::move(found_);
  }

 private:
  // Those that no layer has, the embedding, the output; and experts, each of which sees too little
  // of so short a text.
  bool is_outside(size_t number) const {
    const TensorPlace& place = meter_.stored(number).place;
    const auto point = input_of(place.role);
    return place.layer < 0 || place.layer >= layers_.layers() || !point || is_of_experts(*point);
  }

  // Otherwise what it costs is the same whatever is done.
  bool has_choice() const { return found_.back().formats.size() > 1; }

  static constexpr size_t kNone = static_cast<size_t>(-1);
  // A disturbed text, and the matrices that disturb it, by their numbers in found_.
  struct Group {
    size_t text = kNone;
    std::vector<size_t> members;
    std::vector<double> errors, effects;  // t^2, and what it does to the layer's output
  };

  void begin_with_embedding() {
    for (const size_t number : tensors_) {
      if (!is_outside(number)) continue;
      found_.push_back(meter_.errors_of(number, nullptr, nullptr));
      const TensorRole role = meter_.stored(number).place.role;
      if (!has_choice()) continue;
      if (role != TensorRole::kTokenEmbedding && role != TensorRole::kOutput) continue;
      const auto disturbed = meter_.disturb(number, nullptr);
      Group& group = groups_.emplace_back();
      group.members = {found_.size() - 1};
      group.errors = {disturbed.error};
      group.effects = {1};
      if (role == TensorRole::kTokenEmbedding)
        group.text = disturbance_.disturb_embedding(disturbed.tensor);
    }
  }

  void measure_layer(int layer) {
    for (const size_t number : tensors_) {  // or the text's rows would not be finite, either
      if (meter_.stored(number).place.layer == layer)
        require_finite(meter_.stored(number), *model_.device.pool);
    }
    auto fitted = fitted_.observe(layer, kind_, meter_.instead(), {}, Calibration::kAdvance);
    const auto judged = judged_.observe(layer, kind_, meter_.instead(), {}, Calibration::kAdvance);
    disturbance_.pass();
    std::map<TapPlace, std::unique_ptr<PreparedInputs>> prepared;
    Group attention, feed_forward;
    for (const size_t number : tensors_) {
      const StoredTensor& tensor = meter_.stored(number);
      if (is_outside(number) || tensor.place.layer != layer) continue;
      const TapPoint point = *observed_input(tensor.place.role, fitted);
      const Method& method = model_.method.method;
      auto& prepared_inputs = prepared[point];
      if (prepared_inputs == nullptr && method.prepare != nullptr) {
        prepared_inputs =
            method.prepare(fitted.at(point), model_.method_options, *model_.device.pool);
      }
      const InputMoments& inputs = judged.at(point);
      found_.push_back(meter_.errors_of(number, prepared_inputs.get(), &inputs));
      if (!has_choice()) continue;
      const bool is_attention = point == TapPoint::kQkvInput || point == TapPoint::kOutputInput ||
                                point == TapPoint::kRecurrentOutputInput ||
                                point == TapPoint::kValueInput;
      Group& group = is_attention ? attention : feed_forward;
      if (group.text == kNone) group.text = disturbance_.branch();
      const auto disturbed = meter_.disturb(number, &inputs);
      layers_.load(layer, meter_.instead(&disturbed.tensor));
      group.members.push_back(found_.size() - 1);
      group.errors.push_back(disturbed.error);
      group.effects.push_back(disturbance_.disturb(group.text));
    }
    for (Group* group : {&attention, &feed_forward}) {
      if (group->text != kNone) groups_.push_back(std::move(*group));
    }
  }

  void finish() {
    layers_.load_output(meter_.instead());
    disturbance_.predict();
    const bool is_tied = model_.checkpoint->find({TensorRole::kOutput}) == nullptr;
    for (const Group& group : groups_) {
      const size_t first = found_[group.members.front()].tensor;
      const TensorRole role = meter_.stored(first).place.role;
      const bool is_output =
          role == TensorRole::kOutput || (is_tied && role == TensorRole::kTokenEmbedding);
      // A tied embedding is disturbed at both ends.
      if (is_output) {
        const auto disturbed = meter_.disturb(first, nullptr);
        layers_.load_output(meter_.instead(&disturbed.tensor));
      }
      const double divergence =
          group.text == kNone ? disturbance_.divergence() : disturbance_.divergence(group.text);
      if (is_output) layers_.load_output(meter_.instead());
      double effects = 0;
      for (const double effect : group.effects) effects += effect;
      for (size_t m = 0; m < group.members.size(); ++m) {
        // A matrix of zeros has no errors, and one that does nothing no effect.
        const double share = effects > 0 ? group.effects[m] / effects : 0;
        found_[group.members[m]].factor =
            group.errors[m] > 0 ? divergence * share / group.errors[m] : 0;
      }
    }
  }

  const MeasuredModel& model_;
  std::span<const size_t> tensors_;
  ErrorMeter meter_;
  InputMoments::Kind kind_;
  int observed_;
  Calibration fitted_, judged_;
  LayerByLayer& layers_;
  Disturbance disturbance_;
  std::vector<Sensitivity> found_;
  std::vector<Group> groups_;
};

}  // namespace

std::vector<const Format*> possible_formats(const StoredTensor& tensor) {
  static constexpr std::array kGrids = {&kQ2_K, &kQ3_K, &kIQ4_XS, &kMXFP4, &kQ4_K, &kIQ4_NL, &kQ4_0,
                                        &kQ4_1, &kQ5_K, &kQ5_0,   &kQ5_1,  &kQ6_K, &kQ8_0};
  std::vector<const Format*> formats;
  for (const Format* format : kGrids) {
    if (tensor.columns() % format->block_elements == 0) formats.push_back(format);
  }
  formats.push_back(tensor.format == &kBF16 ? &kBF16 : &kF16);
  const bool is_copied = tensor.order == nullptr && tensor.format != &kF32;
  if (is_copied && std::ranges::find(formats, tensor.format) == formats.end())
    formats.push_back(tensor.format);
  return formats;
}

std::vector<Sensitivity> measure_sensitivity(const MeasuredModel& model,
                                             std::span<const size_t> tensors,
                                             const CalibrationText& text) {
  const Config config = read_config(*model.checkpoint);
  if (config.per_layer_input > 0 || config.layers.back().shares_kv) {
    fail(
        "layers of this model read more than what the one before has made: what errors in them "
        "cost cannot be measured yet; name a format, or --calibrate none");
  }
  return TextMeter(model, tensors, text).run();
}

std::vector<Sensitivity> measure_errors(const MeasuredModel& model,
                                        std::span<const size_t> tensors) {
  ErrorMeter meter(model);
  std::vector<Sensitivity> found;
  for (size_t i = 0; i < tensors.size(); ++i) {
    found.push_back(meter.errors_of(tensors[i], nullptr, nullptr));
    meter.say((static_cast<double>(i) + 1) / static_cast<double>(tensors.size()));
  }
  return found;
}

}  // namespace tessera
