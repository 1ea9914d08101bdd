#include "files/gguf/latent_attention.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "checkpoint/latent_split.h"

namespace tessera::gguf {
namespace {

constexpr std::string_view kDeepSeek = "deepseek2.";
constexpr std::string_view kJoinedPart = "attn_kv_b.weight", kKeysPart = "attn_k_b.weight",
                           kValuesPart = "attn_v_b.weight";

struct Lengths {
  uint64_t heads, latent, rotated, key, value;
};

uint64_t fact_of(const GgufMetadata& metadata, std::string_view fact) {
  const std::string name = std::string(kDeepSeek) + std::string(fact);
  const int64_t value = metadata.require_int(name);
  if (value < 1 || value > (1 << 24)) fail("key '{}': {} is out of range", name, value);
  return static_cast<uint64_t>(value);
}

Lengths read_lengths(const GgufMetadata& metadata) {
  const Lengths lengths{.heads = fact_of(metadata, "attention.head_count"),
                        .latent = fact_of(metadata, "attention.kv_lora_rank"),
                        .rotated = fact_of(metadata, "rope.dimension_count"),
                        .key = fact_of(metadata, "attention.key_length"),
                        .value = fact_of(metadata, "attention.value_length")};
  if (lengths.rotated >= lengths.key)
    fail("key '{}rope.dimension_count': {} of keys of {}", kDeepSeek, lengths.rotated, lengths.key);
  return lengths;
}

void write_lengths(const Lengths& lengths, GgufMetadata& metadata) {
  for (const auto& [fact, value] :
       {std::pair("attention.head_count_kv", uint64_t{1}),
        std::pair("attention.key_length", lengths.latent + lengths.rotated),
        std::pair("attention.value_length", lengths.latent),
        std::pair("attention.key_length_mla", lengths.key),
        std::pair("attention.value_length_mla", lengths.value)})
    metadata.set(std::string(kDeepSeek) + fact, {static_cast<uint32_t>(value)});
}

// "blk.3.attn_kv_b.weight" without its end; empty for another tensor.
std::string module_of(const StoredTensor& tensor, std::string_view end) {
  return tensor.name.ends_with(end) ? tensor.name.substr(0, tensor.name.size() - end.size())
                                    : std::string();
}

}  // namespace

void split_old_latents(GgufMetadata& metadata, std::vector<StoredTensor>& tensors) {
  const GgufValue* architecture = metadata.find("general.architecture");
  if (architecture == nullptr ||
      architecture->value !=
          GgufValue::Variant(std::string(kDeepSeek.substr(0, kDeepSeek.size() - 1))))
    return;
  std::set<std::string, std::less<>> joined;
  for (const StoredTensor& tensor : tensors)
    if (std::string module = module_of(tensor, kJoinedPart); !module.empty())
      joined.insert(std::move(module));
  if (joined.empty()) return;
  if (metadata.contains(std::string(kDeepSeek) + "attention.key_length_mla")) {
    std::erase_if(tensors, [&](const StoredTensor& tensor) {
      return joined.contains(module_of(tensor, kJoinedPart));
    });
    return;
  }
  const Lengths lengths = read_lengths(metadata);
  std::vector<StoredTensor> result;
  for (StoredTensor& tensor : tensors) {
    if (joined.contains(module_of(tensor, kKeysPart)) ||
        joined.contains(module_of(tensor, kValuesPart)))
      continue;
    const std::string module = module_of(tensor, kJoinedPart);
    if (module.empty()) {
      result.push_back(std::move(tensor));
      continue;
    }
    auto [keys, values] = split_latent(tensor, lengths.heads, lengths.key - lengths.rotated);
    keys.name = module + std::string(kKeysPart);
    values.name = module + std::string(kValuesPart);
    result.push_back(std::move(keys));
    result.push_back(std::move(values));
  }
  tensors = std::move(result);
  write_lengths(lengths, metadata);
}

}  // namespace tessera::gguf
