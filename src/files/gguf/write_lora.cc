#include "files/gguf/write_lora.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/metadata.h"
#include "files/gguf/tensor_names.h"
#include "files/gguf/writer.h"

namespace tessera::gguf {

void write_lora(const StoredAdapter& adapter, const Checkpoint& model,
                const std::filesystem::path& path) {
  if (adapter.matrices.empty()) fail("an adapter without a matrix cannot be written");
  const auto alpha_of = [](const StoredLowRank& one) {
    return one.scale * static_cast<float>(one.down.rows());
  };
  const float alpha = alpha_of(adapter.matrices[0]);
  GgufMetadata metadata;
  metadata.set("general.architecture", {model.facts().require_string("general.architecture")});
  metadata.set("general.type", {std::string("adapter")});
  metadata.set("adapter.type", {std::string("lora")});
  metadata.set("adapter.lora.alpha", {alpha});
  GgufWriter writer(std::move(metadata));
  std::vector<const StoredTensor*> tensors;
  for (const StoredLowRank& one : adapter.matrices) {
    const std::string name = tensor_name(one.down.place);
    if (alpha_of(one) != alpha)
      fail("tensor '{}' is scaled otherwise than others, which GGUF adapters have no words for",
           printable(name));
    writer.declare(name + ".lora_a", kF32, one.down.shape);
    writer.declare(name + ".lora_b", kF32, one.up.shape);
    tensors.insert(tensors.end(), {&one.down, &one.up});
  }
  writer.write(path, [&](size_t i) {
    std::vector<float> values(tensors[i]->elements());
    tensors[i]->decode(0, tensors[i]->rows(), values);
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
}

}  // namespace tessera::gguf
