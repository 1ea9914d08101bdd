#include "files/huggingface/next_token_layers.h"

#include <array>
#include <charconv>
#include <set>
#include <utility>

namespace tessera::huggingface {
namespace {

constexpr std::string_view kNextTokensApart = "mtp.";

// What stands in front of a layer's tensor, or of its module.
constexpr auto kNextTokenModules = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"layers.0.", ""},
    {"fc.", "eh_proj."},
    {"pre_fc_norm_embedding.", "enorm."},
    {"pre_fc_norm_hidden.", "hnorm."},
    {"norm.", "shared_head.norm."},
    {"embed_tokens.", "embed_tokens."},
    {"lm_head.", "shared_head.head."},
});

}  // namespace

std::string numbered_next_token_name(std::string_view name, int64_t layers) {
  std::string_view rest = name;
  if (rest.starts_with("model.")) rest.remove_prefix(6);
  if (!rest.starts_with(kNextTokensApart)) return std::string(name);
  rest.remove_prefix(kNextTokensApart.size());
  for (const auto& [apart, numbered] : kNextTokenModules) {
    if (!rest.starts_with(apart)) continue;
    rest.remove_prefix(apart.size());
    return "model.layers." + std::to_string(layers) + "." + std::string(numbered) +
           std::string(rest);
  }
  return std::string(name);
}

int count_next_token_layers(const std::vector<std::string>& names, int64_t layers) {
  constexpr std::string_view kLayers = "layers.", kProjection = ".eh_proj.";
  std::set<int> found;
  for (const std::string_view name : names) {
    const size_t at = name.find(kLayers);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + kLayers.size());
    int number = 0;
    const auto [end, error] = std::from_chars(rest.begin(), rest.end(), number);
    const std::string_view module = rest.substr(static_cast<size_t>(end - rest.begin()));
    if (error == std::errc() && number >= layers && module.starts_with(kProjection))
      found.insert(number);
  }
  return static_cast<int>(found.size());
}

}  // namespace tessera::huggingface
