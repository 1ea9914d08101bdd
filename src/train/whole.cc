#include "train/whole.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/save.h"

namespace tessera::train {
namespace {

constexpr uint32_t kBlockFormats = 2;  // general.quantization_version: GGML_QNT_VERSION

// What no gradient reaches: configuration, and what the host computes with.
constexpr std::array kFixed = {TensorRole::kUnknown, TensorRole::kRopeFactors,
                               TensorRole::kRopeFactorsLong, TensorRole::kRopeFactorsShort,
                               TensorRole::kLayerScale};

std::vector<std::byte> bytes_of(const StoredTensor& tensor, const Format& format,
                                ThreadPool& pool) {
  std::vector<std::byte> buffer;
  if (tensor.format == &format && tensor.order == nullptr) {
    const auto all = tensor.read(0, tensor.rows(), buffer);
    return {all.begin(), all.end()};
  }
  Parameter parameter(tensor.name, static_cast<int>(tensor.rows()),
                      static_cast<int>(tensor.columns()));
  tensor.decode(0, tensor.rows(), parameter.values);
  return encoded(parameter, format, pool);
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
    Parameter parameter(tensor.name, static_cast<int>(tensor.rows()),
                        static_cast<int>(tensor.columns()));
    tensor.decode(0, tensor.rows(), parameter.values);
    learned.whole.emplace(tensor.place, std::move(parameter));
  }
  return learned;
}

std::vector<PlannedFormat> plan_whole(const Checkpoint& model, const Recipe& recipe, bool pure) {
  if (recipe.folder != nullptr)
    fail("{} is a Hugging Face folder, and what is trained is written as a GGUF file", recipe.name);
  for (const StoredTensor& tensor : model.tensors()) written_name(model, tensor);
  std::vector<PlannedFormat> plan = plan_formats(model, recipe, pure);
  for (PlannedFormat& planned : plan) {
    const bool is_only_read = planned.format->supported() && planned.format->encode == nullptr;
    if (is_only_read) planned = {&kF16, &kF16};
  }
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
  const auto writer = make_writer(model, path);
  writer->set_fact("general.quantization_version", kBlockFormats);
  writer->set_fact("general.file_type", recipe.file_type);
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    writer->declare(written_name(model, tensor), *plan[i].format, tensor.shape);
  }
  writer->write(path, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    const auto found = learned.whole.find(tensor.place);
    auto bytes = found == learned.whole.end() ? bytes_of(tensor, *plan[i].format, pool)
                                              : encoded(found->second, *plan[i].format, pool);
    model.release(tensor);
    return bytes;
  });
}

}  // namespace tessera::train
