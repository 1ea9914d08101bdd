#include "support/tiny_lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <random>
#include <string>

#include "files/gguf/tensor_names.h"
#include "files/gguf/writer.h"
#include "files/huggingface/families.h"
#include "files/huggingface/tensor_names.h"
#include "files/save.h"
#include "support/safetensors.h"

namespace tessera {
namespace {

constexpr TensorRole kMatrices[] = {
    TensorRole::kOutput, TensorRole::kQuery, TensorRole::kKey,
    TensorRole::kValue,  TensorRole::kGate,  TensorRole::kQueryKeyValue,
    TensorRole::kUp,     TensorRole::kDown,  TensorRole::kAttentionOutput};

bool is_adapted(const TinyLora& lora, TensorRole role) {
  return lora.roles.empty() ? std::ranges::find(kMatrices, role) != std::end(kMatrices)
                            : std::ranges::find(lora.roles, role) != lora.roles.end();
}

struct Factors {
  std::vector<float> down, up;  // A [rank, columns], B [rows, rank], rows as GGUF has them
};

float scale_of(const TinyLora& lora) {
  const auto rank = static_cast<float>(lora.rank);
  return lora.alpha / (lora.is_stabilized ? std::sqrt(rank) : rank);
}

// As the adapter's format keeps them.
void round_values(const Format& format, std::vector<float>& values) {
  std::vector<std::byte> bytes(format.row_bytes(values.size()));
  format.encode(values, bytes.data(), {});
  format.decode(bytes.data(), values);
}

Factors factors_of(const TinyLora& lora, const StoredTensor& tensor) {
  const auto columns = tensor.columns(), rows = tensor.rows();
  const auto rank = static_cast<uint64_t>(lora.rank);
  std::minstd_rand random(
      static_cast<uint32_t>(1 + lora.seed * 7919 + static_cast<uint64_t>(tensor.place.role) * 131 +
                            static_cast<uint64_t>(tensor.place.layer + 1) * 17));
  const auto values = [&](uint64_t count, double size) {
    std::vector<float> all(count);
    for (float& value : all) {
      const double uniform = static_cast<double>(random() - random.min()) /
                             static_cast<double>(random.max() - random.min());
      value = static_cast<float>(size * std::sqrt(3.0) * (2 * uniform - 1));
    }
    round_values(*lora.format, all);
    return all;
  };
  Factors factors;
  factors.down = values(rank * columns, 1 / std::sqrt(static_cast<double>(columns)));
  factors.up =
      values(rows * rank, static_cast<double>(lora.strength) / static_cast<double>(scale_of(lora)) /
                              std::sqrt(static_cast<double>(rank)));
  return factors;
}

std::string bytes_of_values(const Format& format, const std::vector<float>& values) {
  std::string bytes(format.row_bytes(values.size()), '\0');
  format.encode(values, reinterpret_cast<std::byte*>(bytes.data()), {});
  return bytes;
}

// Rows of B as Hugging Face's Llama has them: each head's even ones, then its odd ones.
std::vector<float> unpaired(const std::vector<float>& up, uint64_t rank, uint64_t head_dim) {
  std::vector<float> result(up.size());
  const uint64_t rows = up.size() / rank;
  for (uint64_t row = 0; row < rows; ++row) {
    const uint64_t head = row / head_dim, in_head = row % head_dim;
    const uint64_t to = head * head_dim + in_head % 2 * (head_dim / 2) + in_head / 2;
    std::copy_n(up.begin() + static_cast<ptrdiff_t>(row * rank), rank,
                result.begin() + static_cast<ptrdiff_t>(to * rank));
  }
  return result;
}

// Of rows that Hugging Face has in another order; 0: of none.
uint64_t head_dim_of(const Checkpoint& model, const StoredTensor& tensor) {
  const Facts& facts = model.facts();
  if (facts.require_string("general.architecture") != "llama") return 0;
  const bool is_key = tensor.place.role == TensorRole::kKey;
  if (!is_key && tensor.place.role != TensorRole::kQuery) return 0;
  const std::string fact = is_key ? "attention.head_count_kv" : "attention.head_count";
  const int64_t heads = facts.is_list(fact)
                            ? facts.get_ints(fact)->at(static_cast<size_t>(tensor.place.layer))
                            : facts.require_int(fact);
  return tensor.rows() / static_cast<uint64_t>(heads);
}

}  // namespace

std::filesystem::path write_tiny_peft(const TinyLora& lora, const Checkpoint& model,
                                      const std::filesystem::path& folder) {
  const huggingface::Family& family =
      huggingface::family_of_architecture(model.facts().require_string("general.architecture"));
  std::vector<test::NamedTensor> tensors;
  for (const StoredTensor& tensor : model.tensors()) {
    if (!is_adapted(lora, tensor.place.role)) continue;
    std::string module = huggingface::tensor_name(family, tensor.place);
    module.resize(module.size() - std::string_view(".weight").size());
    Factors factors = factors_of(lora, tensor);
    const auto rank = static_cast<uint64_t>(lora.rank);
    if (const uint64_t head_dim = head_dim_of(model, tensor); head_dim > 0)
      factors.up = unpaired(factors.up, rank, head_dim);
    const std::string name = "base_model.model." + module;
    tensors.push_back({name + ".lora_A.weight",
                       std::string(lora.format->name),
                       {rank, tensor.columns()},
                       bytes_of_values(*lora.format, factors.down)});
    tensors.push_back({name + ".lora_B.weight",
                       std::string(lora.format->name),
                       {tensor.rows(), rank},
                       bytes_of_values(*lora.format, factors.up)});
  }
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "adapter_model.safetensors", std::ios::binary)
      << test::safetensors_of(tensors);
  std::ofstream(folder / "adapter_config.json") << fmt::format(
      R"({{"peft_type": "LORA", "r": {}, "lora_alpha": {}, "use_rslora": {}, "bias": "none",)"
      R"( "target_modules": "all-linear", "base_model_name_or_path": "tiny"}})",
      lora.rank, lora.alpha, lora.is_stabilized);
  return folder;
}

std::filesystem::path write_tiny_gguf_lora(const TinyLora& lora, const Checkpoint& model,
                                           const std::filesystem::path& path) {
  GgufMetadata metadata;
  const auto rank = static_cast<uint64_t>(lora.rank);
  metadata.set("general.architecture", {model.facts().require_string("general.architecture")});
  metadata.set("general.type", {std::string("adapter")});
  metadata.set("adapter.type", {std::string("lora")});
  // The converter knows no rank-stabilized ones: alpha / rank is what is read.
  metadata.set("adapter.lora.alpha", {scale_of(lora) * static_cast<float>(lora.rank)});
  GgufWriter writer(std::move(metadata));
  std::vector<std::string> data;
  for (const StoredTensor& tensor : model.tensors()) {
    if (!is_adapted(lora, tensor.place.role)) continue;
    const Factors factors = factors_of(lora, tensor);
    const std::string name = gguf::tensor_name(tensor.place);
    writer.declare(name + ".lora_a", *lora.format, {tensor.columns(), rank});
    data.push_back(bytes_of_values(*lora.format, factors.down));
    writer.declare(name + ".lora_b", *lora.format, {rank, tensor.rows()});
    data.push_back(bytes_of_values(*lora.format, factors.up));
  }
  writer.write(path, [&](size_t i) {
    const auto bytes = std::as_bytes(std::span(data[i]));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
  return path;
}

std::filesystem::path write_merged_model(const Checkpoint& model,
                                         std::span<const std::pair<TinyLora, float>> adapters,
                                         const std::filesystem::path& path) {
  const auto writer = make_writer(model, path);
  for (const StoredTensor& tensor : model.tensors())
    writer->declare(written_name(model, tensor), kF32, tensor.shape);
  writer->write(path, [&](size_t i) {
    const StoredTensor& tensor = model.tensors()[i];
    const uint64_t columns = tensor.columns();
    std::vector<float> values(tensor.elements());
    tensor.decode(0, tensor.rows(), values);
    for (const auto& [lora, use] : adapters) {
      if (!is_adapted(lora, tensor.place.role)) continue;
      const Factors factors = factors_of(lora, tensor);
      const auto rank = static_cast<uint64_t>(lora.rank);
      for (uint64_t at = 0; at < values.size(); ++at) {
        double sum = 0;
        for (uint64_t k = 0; k < rank; ++k) {
          sum += static_cast<double>(factors.up[at / columns * rank + k]) *
                 static_cast<double>(factors.down[k * columns + at % columns]);
        }
        values[at] += static_cast<float>(static_cast<double>(use * scale_of(lora)) * sum);
      }
    }
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
  return path;
}

}  // namespace tessera
