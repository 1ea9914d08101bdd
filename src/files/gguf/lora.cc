#include "files/gguf/lora.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/gguf/tensor_names.h"

namespace tessera::gguf {
namespace {

struct Pair {
  const StoredTensor *down = nullptr, *up = nullptr;
};

void check_kind(const GgufMetadata& metadata, const Checkpoint& model) {
  const std::string type = metadata.get_string("general.type").value_or("model");
  if (type != "adapter")
    fail("key 'general.type' is '{}', expected 'adapter': it is no LoRA adapter", printable(type));
  const std::string kind = metadata.require_string("adapter.type");
  if (kind != "lora") fail("key 'adapter.type' is '{}', expected 'lora'", printable(kind));
  // It would apply from those tokens on only.
  if (metadata.contains("adapter.alora.invocation_tokens"))
    fail("it is an activated LoRA (adapter.alora.invocation_tokens), which is not supported");
  const std::string own = metadata.require_string("general.architecture");
  const std::string wanted = model.facts().require_string("general.architecture");
  if (own != wanted)
    fail("it is for '{}' models, this one is '{}'", printable(own), printable(wanted));
}

}  // namespace

StoredAdapter open_lora(const std::filesystem::path& path, const Checkpoint& model) {
  const auto file = std::make_shared<const GgufFile>(GgufFile::open(path));
  check_kind(file->metadata(), model);
  // As in llama.cpp: none, or 0, asks for no division by the rank either.
  const double alpha = file->metadata().get_float("adapter.lora.alpha").value_or(0);

  std::map<std::string, Pair> pairs;  // by the names of the model's tensors
  for (const StoredTensor& tensor : file->tensors()) {
    const std::string_view name = tensor.name;
    constexpr std::string_view kDown = ".lora_a", kUp = ".lora_b";
    if (name.ends_with(kDown)) {
      pairs[std::string(name.substr(0, name.size() - kDown.size()))].down = &tensor;
    } else if (name.ends_with(kUp)) {
      pairs[std::string(name.substr(0, name.size() - kUp.size()))].up = &tensor;
    } else {
      fail("tensor '{}' is no low-rank matrix (.lora_a, .lora_b); others are not supported",
           printable(name));
    }
  }
  StoredAdapter adapter;
  adapter.file = file;
  for (const auto& [name, pair] : pairs) {
    if (pair.down == nullptr || pair.up == nullptr) {
      fail("tensor '{}' is missing, '{}' is there",
           printable(name + (pair.down == nullptr ? ".lora_a" : ".lora_b")),
           printable((pair.down == nullptr ? pair.up : pair.down)->name));
    }
    const TensorPlace place = tensor_place(name);
    if (place.role == TensorRole::kUnknown)
      fail("tensor '{}' has no place in this architecture", printable(pair.down->name));
    StoredLowRank& one = adapter.matrices.emplace_back();
    one.down = *pair.down;
    one.up = *pair.up;
    one.down.place = one.up.place = place;
    const auto rank = static_cast<double>(pair.up->columns());
    one.scale = alpha == 0 ? 1.0f : static_cast<float>(alpha / rank);
  }
  return adapter;
}

}  // namespace tessera::gguf
