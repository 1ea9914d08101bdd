#include "compress/quantize.h"

#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "compress/checks.h"
#include "compress/layer_quantizer.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/recipes.h"
#include "compress/run_description.h"
#include "compress/scalings/scaling.h"
#include "compress/sensitivity.h"
#include "compress/sensitivity_text.h"
#include "compress/target.h"
#include "compress/tensor_encoder.h"
#include "compress/work_folder.h"
#include "devices/device.h"
#include "files/open.h"
#include "files/save.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

constexpr std::string_view kSensitivities = "sensitivities.txt";  // in a folder of work

constexpr uint32_t kQuantizationVersion =
    2;  // GGML_QNT_VERSION: the block formats as they are today

double bits_per_weight(uint64_t bytes, uint64_t elements) {
  return elements == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(elements);
}

// Everything but the errors is known before the work begins.
QuantizeSummary planned_summary(const Checkpoint& model, const CheckpointWriter& writer,
                                std::span<const PlannedFormat> plan) {
  QuantizeSummary summary;
  uint64_t elements = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    const uint64_t bytes_after = writer.stored_bytes(i);
    summary.tensors.push_back({tensor.name, tensor.format, plan[i].format, plan[i].wanted,
                               tensor.columns(), tensor.elements(), tensor.stored_bytes(),
                               bytes_after, 0, 0, 0});
    summary.bytes_before += tensor.stored_bytes();
    summary.bytes_after += bytes_after;
    elements += tensor.elements();
  }
  summary.bits_per_weight_before = bits_per_weight(summary.bytes_before, elements);
  summary.bits_per_weight_after = bits_per_weight(summary.bytes_after, elements);
  summary.formats = write_tensor_formats(model, plan);
  return summary;
}

void declare_tensors(const Checkpoint& model, std::span<const PlannedFormat> plan,
                     CheckpointWriter& writer) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    writer.declare(written_name(model, tensor), *plan[i].format, tensor.shape);
  }
}

bool has_text(const QuantizeOptions& options) {
  return !options.calibration.empty() || options.write_calibration;
}

std::optional<CalibrationText> calibration_text(const QuantizeOptions& options,
                                                const Checkpoint& model) {
  if (!has_text(options)) return {};
  return cut_text(*Tokenizer::make(model.read_tokenizer()),
                  options.write_calibration ? options.write_calibration() : options.calibration,
                  options.calibration_length, options.calibration_chunks);
}

// What can be told before anything is opened.
void check_options(const QuantizeOptions& options, const Recipe& recipe,
                   const ChosenMethod& chosen) {
  const bool is_calibrated = has_text(options), has_imatrix = !options.imatrix.empty();
  if (chosen.needs_text() && !is_calibrated)
    fail("the method {} needs a text to calibrate with (--calibrate)", options.method);
  if (!chosen.looks_at_text() && !options.target && (is_calibrated || has_imatrix))
    fail("the method {} looks neither at a text nor at an importance matrix", options.method);
  if (has_imatrix && is_calibrated)
    fail("an importance matrix and a text to calibrate with say the same: give one of them");
  if (!options.work.empty() && !is_calibrated)
    fail("a folder of work is for runs with a text: nothing else takes long");
  if (recipe.folder == nullptr) return;  // else it has one format
  if (options.pure) fail("{} has no mixture that --pure could leave out", recipe.name);
  if (!options.tensor_formats.empty() || options.target)
    fail("formats by tensor are for GGUF files, not for {}", recipe.name);
}

MethodOptions method_options(const QuantizeOptions& options, const ChosenMethod& chosen) {
  const Method& method = chosen.method;
  if (!options.sparsity.empty() && !method.prunes)
    fail("a sparsity is for methods that prune, which {} does not", method.name);
  Sparsity sparsity = parse_sparsity(options.sparsity.empty() ? "50%" : options.sparsity);
  if (!options.sparsity_scope.empty())
    sparsity.scope = parse_sparsity_scope(options.sparsity_scope);
  if (sparsity.scope != SparsityScope::kRow &&
      (!method.by_magnitude || has_text(options) || sparsity.group > 0))
    fail("the scope of a sparsity is for magnitude, without a text and without groups");
  if (options.damping != 0 && !method.feeds_back)
    fail("a damping is for gptq and sparsegpt, {} has no Hessian to factorize", method.name);
  if (!(options.damping >= 0 && std::isfinite(options.damping)))
    fail("a Hessian cannot be damped by {}", options.damping);
  if (options.group_aware && !method.orders_columns)
    fail("an order of the columns is for gptq, {} has none", method.name);
  return {.sparsity = sparsity,
          .damping = options.damping,
          .group_aware_order = options.group_aware,
          .grid = chosen.grid};
}

// Of a whole run, in bytes of the source. Measuring counts as much as encoding.
class RunProgress {
 public:
  RunProgress(const QuantizeOptions& options, const Checkpoint& model) : report_(options.progress) {
    for (const StoredTensor& tensor : model.tensors()) bytes_ += tensor.stored_bytes();
    if (options.target) measuring_ = bytes_;
  }
  void measured(double share) const { say(share * static_cast<double>(measuring_)); }
  void encoding(double more) const { say(static_cast<double>(measuring_ + encoded_) + more); }
  void encoded(const StoredTensor& tensor) {
    encoded_ += tensor.stored_bytes();
    encoding(0);
  }

 private:
  void say(double done) const {
    if (report_) report_(static_cast<uint64_t>(done), measuring_ + bytes_);
  }
  const std::function<void(uint64_t done, uint64_t total)>& report_;
  uint64_t bytes_ = 0, measuring_ = 0, encoded_ = 0;
};

void check_methods(const ChosenMethod& chosen, const Checkpoint& model,
                   std::span<const PlannedFormat> plan) {
  if (chosen.grid != nullptr) check_method(*chosen.grid, model, plan);
  check_method(chosen.method, model, plan);
}

// The formats of what is encoded; what is copied has its own.
std::vector<PlannedFormat> encoded_formats(const Checkpoint& model, const CheckpointWriter& writer,
                                           std::span<const PlannedFormat> plan) {
  std::vector<PlannedFormat> encoded(plan.begin(), plan.end());
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    if (plan[i].format != tensor.format)
      encoded[i].format = &writer.encoded_format(tensor.place, *plan[i].format);
  }
  return encoded;
}

uint64_t bytes_beside_tensors(const Checkpoint& model, std::span<const PlannedFormat> plan,
                              const std::filesystem::path& out) {
  const std::unique_ptr<CheckpointWriter> writer = make_writer(model, out);
  declare_tensors(model, plan, *writer);
  return writer->bytes_beside_tensors();
}

// See plan_for_target().
double plan_by_measurement(const MeasuredModel& measured, const TargetSize& target, uint64_t beside,
                           std::span<const size_t> tensors,
                           const std::optional<CalibrationText>& text, WorkFolder* work,
                           std::span<PlannedFormat> plan) {
  const Checkpoint& model = *measured.checkpoint;
  if (text) {
    const std::string kept = work == nullptr ? "" : work->find(kSensitivities);
    const std::vector<Sensitivity> found = kept.empty()
                                               ? measure_sensitivity(measured, tensors, *text)
                                               : read_sensitivities(kept, tensors);
    if (work != nullptr && kept.empty()) work->keep(kSensitivities, write_sensitivities(found));
    return plan_for_target(model, target, beside, found, plan);
  }
  spdlog::warn("without a text, an error costs the same in every matrix (--calibrate measures it)");
  plan_for_target(model, target, beside, measure_errors(measured, tensors), plan);
  return 0;
}

}  // namespace

bool needs_text(const QuantizeOptions& options) {
  return choose_method(options.method).needs_text() || options.target;
}

QuantizeSummary quantize_file(const std::filesystem::path& source, const QuantizeOptions& options,
                              const std::filesystem::path& out) {
  const Recipe& recipe = require_recipe(options.format);
  const ChosenMethod chosen = choose_method(options.method);
  check_options(options, recipe, chosen);
  const MethodOptions by = method_options(options, chosen);
  const Imatrix imatrix = options.imatrix.empty() ? Imatrix{} : read_imatrix(options.imatrix);
  const std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(source);
  const Checkpoint& model = *checkpoint;
  check_output(model, out, options.overwrite);
  check_configuration(model);
  if (options.target && is_folder_name(out)) fail("a target size is for GGUF files");
  const std::unique_ptr<CheckpointWriter> writer = make_writer(model, out, recipe.folder);

  std::vector<PlannedFormat> plan = plan_formats(model, recipe, options.pure);
  const std::vector<bool> named = apply_tensor_formats(options.tensor_formats, model, plan);
  const LoraMerge merge(options.lora, model);
  check_formats(model, merge, plan);
  if (!options.imatrix.empty()) check_imatrix(options.imatrix, imatrix, model, plan);
  const std::vector<size_t> measured = free_tensors(model, named);
  const uint64_t beside = options.target ? bytes_beside_tensors(model, plan, out) : 0;
  if (options.target) {
    check_target(model, options.target, beside, measured, plan);
  } else {
    check_methods(chosen, model, plan);
  }
  warn_of_second_quantization(model, merge, plan);
  std::optional<CalibrationText> text = calibration_text(options, model);
  std::optional<WorkFolder> work;
  if (!options.work.empty()) work.emplace(options.work, describe_run(model, options, *text));
  WorkFolder* const kept = work ? &*work : nullptr;
  const Device device = open_cpu(options.threads);
  RunProgress progress(options, model);
  const Recipe* like = options.tensor_formats.empty() ? &recipe : &most_like(model, plan);
  double expected = 0;
  if (options.target) {
    const auto say = [&](double share) { progress.measured(share); };
    expected = plan_by_measurement({checkpoint, device, merge, chosen, by, imatrix, say},
                                   options.target, beside, measured, text, kept, plan);
    like = &most_like(model, plan);
    check_methods(chosen, model, plan);
  }

  writer->set_fact("general.quantization_version", kQuantizationVersion);
  writer->set_fact("general.file_type", like->file_type);
  const std::vector<PlannedFormat> encoded = encoded_formats(model, *writer, plan);
  declare_tensors(model, encoded, *writer);
  QuantizeSummary summary = planned_summary(model, *writer, plan);
  summary.by_target = static_cast<bool>(options.target);
  summary.expected_divergence = expected;
  std::optional<LayerQuantizer> layers;
  if (text) layers.emplace(checkpoint, device, std::move(*text), chosen, by, encoded, merge, kept);
  TensorEncoder others(model, encoded, chosen.method, by, merge, imatrix, layers.has_value(),
                       *device.pool);
  writer->write(out, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    std::vector<std::byte> bytes =
        layers && layers->covers(i)
            ? layers->take(i, summary.tensors, [&](double more) { progress.encoding(more); })
            : others.encode(i, summary.tensors[i]);
    model.release(tensor);
    progress.encoded(tensor);
    return bytes;
  });
  if (work) work->remove();
  return summary;
}

}  // namespace tessera
