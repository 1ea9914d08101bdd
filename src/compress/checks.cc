#include "compress/checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "compress/importance.h"
#include "files/save.h"
#include "model/config.h"

namespace tessera {
namespace {

bool is_quantized(const Format& format) {
  return format.block_elements > 1;
}

// The layer that a tensor is of by GGUF's name for it; -1: of none.
int block_of(std::string_view name) {
  constexpr std::string_view kBlock = "blk.";
  int block = -1;
  if (name.starts_with(kBlock))
    std::from_chars(name.data() + kBlock.size(), name.data() + name.size(), block);
  return block;
}

// Embeddings and the output are seldom in an importance matrix.
bool is_in_layers(TensorRole role) {
  return role != TensorRole::kTokenEmbedding && role != TensorRole::kPerLayerEmbedding &&
         role != TensorRole::kOutput;
}

}  // namespace

void check_configuration(const Checkpoint& model) {
  const auto name = model.facts().get_string("general.architecture");
  if (name && look_up_architecture(*name) != nullptr) read_config(model);
}

void check_not_source(const std::filesystem::path& source, const std::filesystem::path& out) {
  std::error_code ignored;  // `out` need not exist
  if (std::filesystem::equivalent(source, out, ignored))
    fail("the output '{}' is the source itself; name another file", printable(out.string(), 400));
}

void check_not_source(const Checkpoint& model, const std::filesystem::path& out) {
  for (const auto& path : model.paths()) {
    check_not_source(path, out);
    const bool is_in_folder = path.extension() == ".safetensors";  // which is what is overwritten
    if (is_in_folder) check_not_source(path.parent_path(), out);
  }
}

void check_output(const Checkpoint& model, const std::filesystem::path& out, bool overwrite) {
  check_not_source(model, out);
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(out, ignored) &&
                        !(is_directory(out, ignored) && is_empty(out, ignored));
  if (!overwrite && is_there)
    fail("'{}' exists; --force overwrites it", printable(out.string(), 400));
  if (!is_folder_name(out)) AtomicFile{out};  // opened, to fail before the work
}

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

void check_imatrix(const std::filesystem::path& path, const Imatrix& imatrix,
                   const Checkpoint& model, std::span<const PlannedFormat> plan) {
  const auto is_known = [&](const StoredTensor& tensor) {
    return imatrix.entries.contains(written_name(model, tensor));
  };
  if (std::ranges::none_of(model.tensors(), is_known)) {
    fail("'{}' knows none of the model's matrices: it is another model's",
         printable(path.string(), 400));
  }
  int layers = 0;
  for (const StoredTensor& tensor : model.tensors())
    layers = std::max({layers, tensor.place.layer + 1, block_of(tensor.name) + 1});
  for (const auto& [name, entry] : imatrix.entries) {
    if (block_of(name) < layers) continue;
    fail("'{}' knows '{}', and the model has {} layers: it is another model's",
         printable(path.string(), 400), printable(name), layers);
  }
  size_t asked = 0, unknown = 0, experts = 0, idle = 0;
  std::string_view first, first_idle;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    if (plan[i].format == tensor.format || !is_quantized(*plan[i].format)) continue;
    if (!is_in_layers(tensor.place.role)) continue;
    ++asked;
    const auto importances = importances_of(imatrix, model, tensor);
    if (importances.empty() && unknown++ == 0) first = tensor.name;
    experts += importances.size() > 1 ? importances.size() : 0;
    for (const auto& importance : importances) {
      if (importance.empty() && idle++ == 0) first_idle = tensor.name;
    }
  }
  if (unknown > 0) {
    spdlog::warn("'{}' knows {} of {} matrices; '{}' and {} more are rounded without it",
                 printable(path.string(), 400), asked - unknown, asked, printable(first),
                 unknown - 1);
  }
  if (idle > 0) {
    spdlog::warn(
        "{} of {} experts' matrices saw fewer than {:.0f} tokens, first in '{}': they are "
        "rounded without importance",
        idle, experts, kFewestRows, printable(first_idle));
  }
}

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

}  // namespace tessera
