#include "compress/prune.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "compress/calibration.h"
#include "compress/checks.h"
#include "compress/methods/method.h"
#include "compress/output_cut.h"
#include "compress/structure.h"
#include "devices/device.h"
#include "files/open.h"
#include "files/save.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

void check_options(const PruneOptions& options) {
  for (const double share : {options.layers, options.heads, options.neurons}) {
    if (!(share >= 0 && share < 1)) fail("a share of {} cannot be cut", share);
  }
  if (options.layers + options.heads + options.neurons == 0)
    fail("nothing to cut: name a share of the layers, the heads or the neurons");
}

class Pruner {
 public:
  Pruner(std::shared_ptr<const Checkpoint> checkpoint, const PruneOptions& options)
      : checkpoint_(std::move(checkpoint)),
        options_(options),
        device_(open_cpu(options.threads)),
        config_(read_config(*checkpoint_)),
        before_(shape_of(config_)),
        after_(cut_shape(config_, options)),
        kept_(static_cast<size_t>(before_.layers)) {
    std::iota(kept_.begin(), kept_.end(), 0);
    const auto tokenizer = Tokenizer::make(checkpoint_->read_tokenizer());
    text_ = cut_text(*tokenizer, options.calibration, options.calibration_length,
                     options.calibration_chunks);
    passes_ = (after_.layers < before_.layers ? 1 : 0) + (cuts_layers_ ? 1 : 0);
  }

  PruneSummary run(const std::filesystem::path& out) {
    if (after_.layers < before_.layers) choose_layers();
    PruneSummary summary{.before = before_, .after = after_};
    for (int layer = 0; layer < before_.layers; ++layer) {
      if (place_of(layer) < 0) summary.dropped_layers.push_back(layer);
    }

    const auto writer = make_writer(*checkpoint_, out);
    declare_shape(*writer);
    std::vector<const StoredTensor*> written;
    for (const StoredTensor& tensor : checkpoint_->tensors()) {
      summary.bytes_before += tensor.stored_bytes();
      const int layer = tensor.place.layer, place = layer < 0 ? layer : place_of(layer);
      if (layer >= 0 && place < 0) continue;
      if (tensor.place.role == TensorRole::kUnknown || tensor.place.role == TensorRole::kDelicate)
        fail("tensor '{}': it is not known what it is for, and so what of it is to stay",
             printable(tensor.name));
      if (tensor.order != nullptr)
        fail("tensor '{}' has columns in an order of its own; quantize it to F16 first",
             printable(tensor.name));
      const auto shape = cut(tensor);
      writer->declare(layer < 0 ? written_name(*checkpoint_, tensor)
                                : written_name(*checkpoint_, tensor, place),
                      format_of(tensor, shape), shape);
      written.push_back(&tensor);
    }
    if (cuts_layers_) calibration_.emplace(checkpoint_, device_, text_);
    writer->write(out, [&](size_t i) {
      std::vector<std::byte> bytes = bytes_of(*written[i]);
      checkpoint_->release(*written[i]);
      summary.bytes_after += bytes.size();
      return bytes;
    });
    return summary;
  }

 private:
  // The layer's number in the new model; -1: it has none.
  int place_of(int layer) const {
    const auto found = std::ranges::find(kept_, layer);
    return found == kept_.end() ? -1 : static_cast<int>(found - kept_.begin());
  }

  void say(double layers_done) const {
    if (options_.progress)
      options_.progress(layers_done, static_cast<double>(passes_ * before_.layers));
  }

  void choose_layers() {
    Calibration calibration(checkpoint_, device_, text_);
    std::vector<std::pair<double, int>> influence;
    for (int layer = 0; layer < before_.layers; ++layer) {
      influence.emplace_back(
          calibration.influence(layer, [&](double share) { say(layer + share); }), layer);
    }
    std::ranges::sort(influence);
    const auto dropped =
        std::span(influence).first(static_cast<size_t>(before_.layers - after_.layers));
    for (const auto& [_, layer] : dropped) std::erase(kept_, layer);
  }

  void declare_shape(CheckpointWriter& writer) const {
    if (after_.layers < before_.layers) {
      writer.keep_layers(kept_);
      declare_kinds(writer);
    }
    if (after_.feed_forward < before_.feed_forward)
      writer.set_fact("feed_forward_length", static_cast<uint32_t>(after_.feed_forward));
    if (after_.heads < before_.heads) {
      writer.set_fact("attention.head_count", static_cast<uint32_t>(after_.heads));
      writer.set_fact("attention.head_count_kv", static_cast<uint32_t>(after_.kv_heads));
      // Which readers would else take from the number of heads.
      const auto length = static_cast<uint32_t>(config_.layers[0].head_dim);
      writer.set_fact("attention.key_length", length);
      writer.set_fact("attention.value_length", length);
    }
  }

  // Which layers are recurrent, where nothing else says so of each.
  void declare_kinds(CheckpointWriter& writer) const {
    const Architecture& family = *config_.architecture;
    if (family.recurrent == RecurrentKind::kNone || family.recurrent_without_keys) return;
    std::vector<bool> recurrent;
    for (const int layer : kept_) {
      const LayerConfig& shape = config_.layers[static_cast<size_t>(layer)];
      recurrent.push_back(shape.recurrent.kind != RecurrentKind::kNone);
    }
    writer.set_fact("attention.recurrent_layers", recurrent);
  }

  // Any parts of the right number will do for the shape.
  TensorPart part_for_shape(const StoredTensor& tensor) const {
    LayerParts parts;
    const bool cuts_heads = options_.heads > 0;
    for (auto [list, count] : {std::pair(&parts.heads, cuts_heads ? after_.heads : 0),
                               {&parts.kv_heads, cuts_heads ? after_.kv_heads : 0},
                               {&parts.neurons, after_.feed_forward}}) {
      list->resize(static_cast<size_t>(count));
      std::iota(list->begin(), list->end(), size_t{0});
    }
    return part_of(tensor, config_, parts);
  }

  std::vector<uint64_t> cut(const StoredTensor& tensor) const {
    std::vector<uint64_t> shape = tensor.shape;
    if (!cuts_layers_ || tensor.place.layer < 0) return shape;
    const TensorPart part = part_for_shape(tensor);
    if (part.axis == TensorPart::Axis::kColumns) shape.at(0) = part.kept.size();
    if (part.axis == TensorPart::Axis::kRows) shape.at(1) = part.kept.size();
    return shape;
  }

  // The tensor's, unless its columns are cut to no whole number of blocks.
  static const Format& format_of(const StoredTensor& tensor, const std::vector<uint64_t>& shape) {
    if (shape.at(0) == tensor.columns()) return *tensor.format;
    const bool fits = shape[0] % tensor.format->block_elements == 0;
    return fits && tensor.format->encode != nullptr ? *tensor.format : kF16;
  }

  std::vector<std::byte> bytes_of(const StoredTensor& tensor) {
    if (!cuts_layers_ || tensor.place.layer < 0) return rows_of(tensor, {});
    while (next_ <= tensor.place.layer) cut_next_layer();
    if (const auto found = done_.find(&tensor); found != done_.end()) {
      std::vector<std::byte> bytes = std::move(found->second);
      done_.erase(found);
      return bytes;
    }
    const TensorPart part = part_of(tensor, config_, parts_.at(tensor.place.layer));
    if (part.axis != TensorPart::Axis::kColumns) return rows_of(tensor, part.kept);
    if (part.kept.size() == tensor.columns()) return rows_of(tensor, {});
    std::vector<float> all(tensor.elements()), values;  // a bias
    tensor.decode(0, tensor.rows(), all);
    for (const size_t c : part.kept) values.push_back(all[c]);
    return encode(tensor, values, part.kept.size());
  }

  // As they are stored; none listed: all.
  static std::vector<std::byte> rows_of(const StoredTensor& tensor, std::span<const size_t> kept) {
    std::vector<std::byte> buffer, bytes;
    const auto all = tensor.read(0, tensor.rows(), buffer);
    if (kept.empty()) return {all.begin(), all.end()};
    const size_t row = tensor.format->row_bytes(tensor.columns());
    for (const size_t r : kept) {
      const auto from = all.subspan(r * row, row);
      bytes.insert(bytes.end(), from.begin(), from.end());
    }
    return bytes;
  }

  std::vector<std::byte> encode(const StoredTensor& tensor, std::span<const float> values,
                                size_t columns) const {
    const Format& format = format_of(tensor, {columns, values.size() / columns});
    std::vector<std::byte> bytes(format.row_bytes(columns) * (values.size() / columns));
    round_to_nearest(format)->encode(values, values.size() / columns, bytes.data());
    return bytes;
  }

  // Takes the text through the next layer that stays, chooses its parts and refits what they add
  // up in.
  void cut_next_layer() {
    const int layer = next_++;
    if (place_of(layer) < 0) return;
    const double done = (passes_ - 1) * before_.layers + layer;
    using Kind = InputMoments::Kind;
    auto moments = calibration_->observe(
        layer, options_.repair ? Kind::kHessian : Kind::kDiagonal, {},
        [&](double share) { say(done + 0.7 * share); }, Calibration::kAdvance);
    moments.erase(TapPoint::kQkvInput);
    moments.erase(TapPoint::kGateUpInput);

    const StoredTensor& down = checkpoint_->require({TensorRole::kDown, layer});
    InputMoments& down_inputs = moments.at(TapPoint::kDownInput);
    const OutputCut down_cut(down, *device_.pool);
    LayerParts& parts = parts_[layer];
    parts.neurons = best_neurons(before_, after_, down_cut.scores(down_inputs));
    const auto keep = [&](const StoredTensor& tensor, const OutputCut& cut, InputMoments& inputs) {
      const TensorPart part = part_of(tensor, config_, parts);
      if (part.kept.size() == tensor.columns()) return;
      const auto values = cut.keep(part.kept, options_.repair ? &inputs : nullptr);
      done_[&tensor] = encode(tensor, values, part.kept.size());
    };
    if (options_.heads > 0) {
      const StoredTensor& output = checkpoint_->require({TensorRole::kAttentionOutput, layer});
      InputMoments& output_inputs = moments.at(TapPoint::kOutputInput);
      const OutputCut output_cut(output, *device_.pool);
      const auto columns = output_cut.scores(output_inputs);
      std::vector<double> heads(static_cast<size_t>(before_.heads));
      for (size_t c = 0; c < columns.size(); ++c)
        heads[c / static_cast<size_t>(config_.layers[0].head_dim)] += columns[c];
      choose_heads(before_, after_, heads, parts);
      keep(output, output_cut, output_inputs);
    }
    keep(down, down_cut, down_inputs);
    say(done + 1);
  }

  std::shared_ptr<const Checkpoint> checkpoint_;
  const PruneOptions& options_;
  Device device_;
  Config config_;
  ModelShape before_, after_;
  std::vector<int> kept_;  // layers, ascending
  bool cuts_layers_ = options_.heads > 0 || options_.neurons > 0;
  int passes_ = 0;
  CalibrationText text_;
  std::optional<Calibration> calibration_;
  int next_ = 0;
  std::map<int, LayerParts> parts_;
  std::map<const StoredTensor*, std::vector<std::byte>> done_;
};

}  // namespace

PruneSummary prune_file(const std::filesystem::path& source, const PruneOptions& options,
                        const std::filesystem::path& out) {
  check_options(options);
  if (is_folder_name(out)) fail("what is left is written as a GGUF file, not as a folder");
  const std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(source);
  check_output(*checkpoint, out, options.overwrite);
  return Pruner(checkpoint, options).run(out);
}

}  // namespace tessera
