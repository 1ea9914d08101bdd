#include "files/gguf/kept_layers.h"

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::gguf {

void keep_layers(GgufMetadata& metadata, std::span<const int> layers) {
  const std::string prefix = metadata.require_string("general.architecture") + ".";
  const std::string count_key = prefix + "block_count";
  const auto count = static_cast<size_t>(metadata.require_int(count_key));
  std::vector<std::pair<std::string, GgufValue>> lists;
  for (const auto& [key, value] : metadata.entries()) {
    const auto* array = std::get_if<GgufValue::Array>(&value.value);
    if (array == nullptr || !key.starts_with(prefix)) continue;
    std::visit(
        [&, &name = key](const auto& all) {
          if (all.size() != count) return;
          std::remove_cvref_t<decltype(all)> kept;
          for (const int layer : layers) kept.push_back(all.at(static_cast<size_t>(layer)));
          lists.emplace_back(name, GgufValue{GgufValue::Array(std::move(kept))});
        },
        *array);
  }
  for (auto& [key, value] : lists) metadata.set(std::move(key), std::move(value));
  metadata.set(count_key, {static_cast<uint32_t>(layers.size())});
}

}  // namespace tessera::gguf
