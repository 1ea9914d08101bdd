#include "files/safetensors/medusa.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/tensor_names.h"
#include "files/gguf/tensor_names.h"
#include "files/safetensors/parse.h"

namespace tessera {
namespace {

constexpr std::string_view kPrefix = "medusa_head.";
constexpr int kMostNumber = 255;  // of a head, of a layer

struct Pattern {
  std::string_view name;  // "*": the head; a second one: the layer
  TensorRole role;
};
constexpr auto kPatterns = std::to_array<Pattern>({
    {"*.*.linear.weight", TensorRole::kMedusaBlock},
    {"*.*.linear.bias", TensorRole::kMedusaBlockBias},
    {"*.*.weight", TensorRole::kMedusaOutput},
    {"blocks.*.layers.*.weight", TensorRole::kMedusaBlock},
    {"blocks.*.layers.*.bias", TensorRole::kMedusaBlockBias},
    {"lm_heads.*.weight", TensorRole::kMedusaOutput},
    {"lm_head.weight", TensorRole::kOutput},
    {"token_map", TensorRole::kTokenMap},
});

struct Place {
  TensorRole role;
  int head, layer;
};

std::optional<Place> find_place(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  for (const Pattern& pattern : kPatterns) {
    const auto numbers = match_stars(pattern.name, name);
    if (!numbers || std::ranges::any_of(*numbers, [](int n) { return n > kMostNumber; })) continue;
    return Place{pattern.role, numbers->empty() ? kNoLayer : numbers->at(0),
                 numbers->size() < 2 ? kNoLayer : numbers->at(1)};
  }
  return std::nullopt;
}

}  // namespace

MedusaFile MedusaFile::open(const std::filesystem::path& path) {
  MedusaFile file;
  const std::string shown = printable(path.string(), 400);
  std::vector<StoredTensor> tensors =
      safetensors::parse(file.add_file(path).bytes(), path.string());
  std::set<std::pair<int, int>> blocks;  // head, layer
  std::set<std::tuple<TensorRole, int, int>> places;
  for (const StoredTensor& tensor : tensors) {
    const auto place = find_place(tensor.name);
    if (!place) {
      fail(
          "'{}': tensor '{}' is none of Medusa heads, the only thing that is read from safetensors "
          "so far",
          shown, printable(tensor.name));
    }
    if (!places.emplace(place->role, place->head, place->layer).second) {
      fail("'{}': tensor '{}' is there under another name, too", shown, printable(tensor.name));
    }
    if (place->role == TensorRole::kMedusaBlock) blocks.emplace(place->head, place->layer);
  }
  if (blocks.empty()) fail("'{}' holds no Medusa heads", shown);
  const int heads = blocks.rbegin()->first + 1;
  file.layers_ = 1 + std::ranges::max_element(blocks, {}, &std::pair<int, int>::second)->second;
  if (std::ssize(blocks) != static_cast<std::ptrdiff_t>(heads) * file.layers_)
    fail("'{}' has {} blocks, expected {} in each of {} heads", shown, blocks.size(), file.layers_,
         heads);
  for (StoredTensor& tensor : tensors) {
    const Place place = *find_place(tensor.name);
    if (place.role == TensorRole::kMedusaOutput && place.layer != kNoLayer &&
        place.layer != file.layers_) {
      fail("'{}': tensor '{}' is none of heads of {} layers", shown, printable(tensor.name),
           file.layers_);
    }
    file.add_tensor(std::move(tensor));
  }
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("medusa")});
  metadata.set("medusa.heads", {static_cast<uint32_t>(heads)});
  metadata.set("medusa.layers", {static_cast<uint32_t>(file.layers_)});
  file.facts_ = std::make_unique<const GgufFacts>(std::move(metadata));
  return file;
}

TokenizerData MedusaFile::read_tokenizer() const {
  fail("'{}' holds Medusa heads, not a model", printable(paths().at(0).string(), 400));
}

// For messages; GGUF's, whatever the layout.
std::string MedusaFile::tensor_name(TensorPlace place) const {
  return gguf::tensor_name(place);
}

TensorPlace MedusaFile::tensor_place(std::string_view name) const {
  const auto [role, head, layer] = *find_place(name);
  const bool of_block = role == TensorRole::kMedusaBlock || role == TensorRole::kMedusaBlockBias;
  return {role, of_block ? head * layers_ + layer : head};
}

}  // namespace tessera
