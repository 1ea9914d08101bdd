#include "compress/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "checkpoint/checkpoint.h"
#include "compress/importance.h"
#include "compress/layer_quantizer.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/recipes.h"
#include "compress/recoder.h"
#include "compress/scalings/scaling.h"
#include "devices/device.h"
#include "files/open.h"
#include "files/save.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

constexpr uint32_t kQuantizationVersion =
    2;  // GGML_QNT_VERSION: the block formats as they are today

void refuse_overwriting_source(const Checkpoint& model, const std::filesystem::path& out) {
  for (const auto& path : model.paths()) {
    std::error_code ignored;                                       // `out` need not exist
    const bool is_in_folder = path.extension() == ".safetensors";  // which is what is overwritten
    if (std::filesystem::equivalent(path, out, ignored) ||
        (is_in_folder && std::filesystem::equivalent(path.parent_path(), out, ignored))) {
      fail("the output '{}' is the source itself; name another file", printable(out.string(), 400));
    }
  }
}

// Before the first byte is written: everything that will be asked of the formats is there.
void check_formats(const Checkpoint& model, const LoraMerge& merge,
                   std::span<const PlannedFormat> plan) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    const Format* target = plan[i].format;
    if (target == tensor.format && tensor.order == nullptr && !merge.changes(tensor)) continue;
    if (!tensor.format->supported()) {
      fail("tensor '{}' is in {}, which cannot be decoded yet", printable(tensor.name),
           tensor.format->name);
    }
    if (target->encode == nullptr) fail("encoding to {} is not supported yet", target->name);
  }
}

bool is_quantized(const Format& format) {
  return format.block_elements > 1;
}

// Matrices in formats that the method does not know are rounded to nearest, but not all of them.
void check_method(const Method& method, const Checkpoint& model,
                  std::span<const PlannedFormat> plan) {
  if (method.takes == nullptr) return;
  std::set<std::string_view> unknown;
  bool knows_one = false;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Format& format = *plan[i].format;
    if (&format == model.tensors()[i].format) continue;
    if (method.takes(format)) {
      knows_one = true;
    } else {
      unknown.insert(format.name);
    }
  }
  if (unknown.empty()) return;
  const std::string list = fmt::format("{}", fmt::join(unknown, ", "));
  if (!knows_one) fail("the method {} cannot encode to {}", method.name, list);
  spdlog::warn("the method {} does not know {}: rounded to nearest", method.name, list);
}

// A format's error is added to that of the one before. Going to floats adds none.
void warn_of_second_quantization(const Checkpoint& model, const LoraMerge& merge,
                                 std::span<const PlannedFormat> plan) {
  std::set<std::string_view> formats;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Format& from = *model.tensors()[i].format;
    const bool is_recoded = &from != plan[i].format || merge.changes(model.tensors()[i]);
    if (is_recoded && is_quantized(from) && is_quantized(*plan[i].format))
      formats.insert(from.name);
  }
  if (formats.empty()) return;
  spdlog::warn(
      "the source is quantized already ({}), and what it lost stays lost; begin with F16, BF16 or "
      "F32 if you can",
      fmt::join(formats, ", "));
}

// One of another model would be ignored, matrix by matrix.
void check_imatrix(const QuantizeOptions& options, const Imatrix& imatrix,
                   const Checkpoint& model) {
  const auto is_known = [&](const StoredTensor& tensor) {
    return imatrix.entries.contains(written_name(model, tensor));
  };
  if (!options.imatrix.empty() && std::ranges::none_of(model.tensors(), is_known)) {
    fail("'{}' knows none of the model's matrices: it is another model's",
         printable(options.imatrix, 400));
  }
}

CalibrationText read_text(const Checkpoint& model, const QuantizeOptions& options) {
  const auto tokenizer = Tokenizer::make(model.read_tokenizer());
  return cut_text(*tokenizer, options.calibration, options.calibration_length,
                  options.calibration_chunks);
}

double bits_per_weight(uint64_t bytes, uint64_t elements) {
  return elements == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(elements);
}

// Everything but the errors is known before the work begins.
QuantizeSummary planned_summary(const Checkpoint& model, std::span<const PlannedFormat> plan) {
  QuantizeSummary summary;
  uint64_t elements = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    const uint64_t bytes_after = plan[i].format->row_bytes(tensor.columns()) * tensor.rows();
    summary.tensors.push_back({tensor.name, tensor.format, plan[i].format, plan[i].wanted,
                               tensor.columns(), tensor.elements(), tensor.stored_bytes(),
                               bytes_after, 0, 0, 0});
    summary.bytes_before += tensor.stored_bytes();
    summary.bytes_after += bytes_after;
    elements += tensor.elements();
  }
  summary.bits_per_weight_before = bits_per_weight(summary.bytes_before, elements);
  summary.bits_per_weight_after = bits_per_weight(summary.bytes_after, elements);
  return summary;
}

// "168 matrices kept their codes (INT4/128 to Q4_0); ...".
std::string describe_kept(const QuantizeSummary& summary) {
  std::map<std::pair<std::string_view, std::string_view>, std::pair<int, float>> kinds;
  for (const QuantizedTensor& tensor : summary.tensors) {
    if (tensor.kept_rows == 0) continue;
    auto& [count, rounding] = kinds[{tensor.from->name, tensor.to->name}];
    ++count;
    rounding = std::max(rounding, tensor.rounding);
  }
  std::string text;
  for (const auto& [formats, kept] : kinds) {
    fmt::format_to(
        std::back_inserter(text), "{} {} kept {} codes, {} as {}: {}\n", kept.first,
        kept.first == 1 ? "matrix" : "matrices", kept.first == 1 ? "its" : "their", formats.first,
        formats.second,
        kept.second == 0
            ? std::string("every value is the same")
            : fmt::format("scales and minimums moved values by {:.4f} steps at most", kept.second));
  }
  return text;
}

// "210 matrices have 576 columns, which are no whole blocks of 256: Q4_K became Q5_0 (180), ..."
std::string describe_fallbacks(const QuantizeSummary& summary) {
  using Columns = std::pair<uint64_t, size_t>;  // and the elements of the wanted format's blocks
  std::map<Columns, std::map<std::pair<std::string_view, std::string_view>, int>> fallbacks;
  for (const QuantizedTensor& tensor : summary.tensors) {
    if (tensor.to == tensor.wanted) continue;
    ++fallbacks[{tensor.columns, tensor.wanted->block_elements}]
               [{tensor.wanted->name, tensor.to->name}];
  }
  std::string text;
  for (const auto& [columns, changes] : fallbacks) {
    int matrices = 0;
    std::vector<std::string> list;
    for (const auto& [formats, count] : changes) {
      matrices += count;
      list.push_back(fmt::format("{} became {} ({})", formats.first, formats.second, count));
    }
    fmt::format_to(std::back_inserter(text),
                   "{} {} {} columns, which are no whole blocks of {}: {}\n", matrices,
                   matrices == 1 ? "matrix has" : "matrices have", columns.first, columns.second,
                   fmt::join(list, ", "));
  }
  return text;
}

}  // namespace

QuantizeSummary quantize_file(const std::filesystem::path& source, const QuantizeOptions& options,
                              const std::filesystem::path& out) {
  const Recipe& recipe = require_recipe(options.format);
  const ChosenMethod chosen = choose_method(options.method);
  const Method& method = chosen.method;
  const bool is_calibrated = !options.calibration.empty();
  if (!options.sparsity.empty() && !method.prunes)
    fail("a sparsity is for methods that prune, which {} does not", method.name);
  const MethodOptions method_options{
      .sparsity = parse_sparsity(options.sparsity.empty() ? "50%" : options.sparsity)};
  if (chosen.needs_text() && !is_calibrated)
    fail("the method {} needs a text to calibrate with (--calibrate)", options.method);
  if (!chosen.looks_at_text() && (is_calibrated || !options.imatrix.empty()))
    fail("the method {} looks neither at a text nor at an importance matrix", options.method);
  if (!options.imatrix.empty() && is_calibrated)
    fail("an importance matrix and a text to calibrate with say the same: give one of them");
  const Imatrix imatrix = options.imatrix.empty() ? Imatrix{} : read_imatrix(options.imatrix);
  const std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(source);
  const Checkpoint& model = *checkpoint;
  refuse_overwriting_source(model, out);
  if (std::error_code ignored; !options.overwrite && std::filesystem::exists(out, ignored))
    fail("'{}' exists; --force overwrites it", printable(out.string(), 400));
  const std::vector<PlannedFormat> plan = plan_formats(model, recipe, options.pure);
  const LoraMerge merge(options.lora, model);
  check_formats(model, merge, plan);
  check_imatrix(options, imatrix, model);
  check_method(method, model, plan);
  warn_of_second_quantization(model, merge, plan);

  const std::unique_ptr<CheckpointWriter> writer = make_writer(model, out);
  writer->set_fact("general.quantization_version", kQuantizationVersion);
  writer->set_fact("general.file_type", recipe.file_type);
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    writer->declare(written_name(model, tensor), *plan[i].format, tensor.shape);
  }
  const Device device = open_cpu(options.threads);
  std::optional<LayerQuantizer> layers;
  if (is_calibrated) {
    layers.emplace(checkpoint, device, read_text(model, options), chosen, method_options, plan,
                   merge);
  }

  QuantizeSummary summary = planned_summary(model, plan);
  uint64_t done = 0;
  const auto say = [&](double more) {
    if (options.progress)
      options.progress(done + static_cast<uint64_t>(more), summary.bytes_before);
  };
  const auto nearest = [&](const StoredTensor& tensor, size_t i) {
    const Format& format = *plan[i].format;
    const auto encode = method.without_text != nullptr ? method.without_text : round_to_nearest;
    const auto encoder = encode(format, importance_of(imatrix, model, model.tensors()[i]));
    return recode(tensor, format, *encoder, *device.pool, summary.tensors[i]);
  };
  writer->write(out, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    std::vector<std::byte> bytes;
    if (layers && layers->covers(i)) {
      bytes = layers->take(i, summary.tensors, say);
    } else if (merge.changes(tensor)) {
      bytes = nearest(merge.merged(tensor), i);
    } else if (plan[i].format == tensor.format && tensor.order == nullptr) {
      const auto rows = tensor.read(0, tensor.rows(), bytes);
      if (bytes.empty()) bytes.assign(rows.begin(), rows.end());
    } else {
      bytes = nearest(tensor, i);
    }
    model.release(tensor);
    done += tensor.stored_bytes();
    say(0);
    return bytes;
  });
  return summary;
}

std::string describe(const QuantizeSummary& summary) {
  std::string text;
  const auto out = std::back_inserter(text);
  size_t width = 4;
  for (const auto& tensor : summary.tensors) width = std::max(width, printable(tensor.name).size());
  fmt::format_to(out, "{:<{}}  {:>8}    {:<8} {:>13} {:>13}  {}\n", "name", width, "from", "to",
                 "bytes before", "bytes after", "relative error");
  for (const auto& tensor : summary.tensors) {
    fmt::format_to(out, "{:<{}}  {:>8} -> {:<8} {:>13} {:>13}", printable(tensor.name), width,
                   tensor.from->name, tensor.to->name, tensor.bytes_before, tensor.bytes_after);
    if (tensor.from != tensor.to) fmt::format_to(out, "  {:.5f}", tensor.relative_error);
    text += '\n';
  }
  return text + describe_totals(summary);
}

std::string describe_totals(const QuantizeSummary& summary) {
  return fmt::format("{:.2f} MB ({:.2f} bits per weight) -> {:.2f} MB ({:.2f} bits per weight)\n",
                     static_cast<double>(summary.bytes_before) / 1e6,
                     summary.bits_per_weight_before, static_cast<double>(summary.bytes_after) / 1e6,
                     summary.bits_per_weight_after) +
         describe_kept(summary) + describe_fallbacks(summary);
}

}  // namespace tessera
