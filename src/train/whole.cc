#include "train/whole.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/writer.h"
#include "files/save.h"
#include "model/bounded_facts.h"

namespace tessera::train {
namespace {

constexpr uint32_t kBlockFormats = 2;  // general.quantization_version: GGML_QNT_VERSION

// What no gradient reaches: configuration, and what the host computes with.
constexpr std::array kFixed = {TensorRole::kUnknown, TensorRole::kRopeFactors,
                               TensorRole::kRopeFactorsLong, TensorRole::kRopeFactorsShort,
                               TensorRole::kLayerScale};

// Error for rows or columns that no model has, before there is memory for them.
Parameter decoded(const StoredTensor& tensor) {
  if (std::max(tensor.rows(), tensor.columns()) > static_cast<uint64_t>(kMaxDimension))
    fail("tensor '{}' is larger than that of any model", printable(tensor.name));
  Parameter parameter(tensor.name, static_cast<int>(tensor.rows()),
                      static_cast<int>(tensor.columns()));
  tensor.decode(0, tensor.rows(), parameter.values);
  return parameter;
}

std::vector<std::byte> bytes_of(const StoredTensor& tensor, const Format& format,
                                ThreadPool& pool) {
  std::vector<std::byte> buffer;
  if (tensor.format == &format && tensor.order == nullptr) {
    const auto all = tensor.read(0, tensor.rows(), buffer);
    return {all.begin(), all.end()};
  }
  return encoded(decoded(tensor), format, pool);
}

// A folder is what ends in '/'.
std::filesystem::path out_of(const Recipe& recipe, const std::filesystem::path& path) {
  return recipe.folder == nullptr ? path : path / "";
}

void declare_whole(const Checkpoint& model, std::span<const PlannedFormat> plan,
                   CheckpointWriter& writer) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    writer.declare(written_name(model, tensor), *plan[i].format, tensor.shape);
  }
}

}  // namespace

Learned make_whole(const Checkpoint& model) {
  Learned learned;
  for (const StoredTensor& tensor : model.tensors()) {
    if (std::ranges::find(kFixed, tensor.place.role) != kFixed.end()) continue;
    if (!tensor.format->supported()) {
      fail("tensor '{}' is in {}, which cannot be decoded yet", printable(tensor.name),
           tensor.format->name);
    }
    const bool is_new = learned.whole.emplace(tensor.place, decoded(tensor)).second;
    if (!is_new) fail("tensor '{}' is of a place that another one has", printable(tensor.name));
  }
  return learned;
}

std::vector<PlannedFormat> plan_whole(const Checkpoint& model, const Recipe& recipe, bool pure) {
  std::vector<PlannedFormat> plan = plan_formats(model, recipe, pure);
  const GgufWriter file((GgufMetadata()));
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    const bool is_learned = std::ranges::find(kFixed, tensor.place.role) == kFixed.end();
    const bool is_only_read = plan[i].format->supported() && plan[i].format->encode == nullptr;
    if (is_only_read) plan[i] = {&kF16, &kF16};
    if (recipe.folder == nullptr) {
      const Format* encoded = &file.encoded_format(tensor.place, *plan[i].format);
      if (plan[i].format == plan[i].wanted) plan[i].wanted = encoded;
      plan[i].format = encoded;
    } else if (is_learned && !is_reencoded(tensor)) {
      const Format& plain = recipe.folder->plain_format(model);
      plan[i] = {&plain, &plain};
    }
  }
  for (const StoredTensor& tensor : model.tensors()) written_name(model, tensor);
  if (recipe.folder != nullptr)
    declare_whole(model, plan, *make_writer(model, out_of(recipe, "model"), recipe.folder));
  return plan;
}

void set_grids(const Checkpoint& model, std::span<const PlannedFormat> plan, Learned& learned) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const auto found = learned.whole.find(model.tensors()[i].place);
    if (found != learned.whole.end() && plan[i].format != &kF32)
      found->second.grid = plan[i].format;
  }
}

void save_whole(const Checkpoint& model, const Learned& learned, const Recipe& recipe,
                std::span<const PlannedFormat> plan, ThreadPool& pool,
                const std::filesystem::path& path) {
  const std::filesystem::path out = out_of(recipe, path);
  const auto writer = make_writer(model, out, recipe.folder);
  writer->set_fact("general.quantization_version", kBlockFormats);
  writer->set_fact("general.file_type", recipe.file_type);
  declare_whole(model, plan, *writer);
  writer->write(out, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    const auto found = learned.whole.find(tensor.place);
    auto bytes = found == learned.whole.end() ? bytes_of(tensor, *plan[i].format, pool)
                                              : encoded(found->second, *plan[i].format, pool);
    model.release(tensor);
    return bytes;
  });
}

}  // namespace tessera::train
