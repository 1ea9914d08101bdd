#include "compress/recipes.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/norm_roles.h"

namespace tessera {
namespace {

using Mix = Recipe::Mix;

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// What the rules tell apart of what a matrix does in the transformer.
enum class Group { kEmbedding, kOutput, kValue, kKey, kAttentionOutput, kDown, kOther };

Group group_of(TensorRole role) {
  switch (role) {
    case TensorRole::kTokenEmbedding:
    case TensorRole::kPerLayerEmbedding:
      return Group::kEmbedding;
    case TensorRole::kOutput:
      return Group::kOutput;
    case TensorRole::kValue:
    case TensorRole::kQueryKeyValue:  // fused matrices hold the values too
    case TensorRole::kKeyValueUp:
      return Group::kValue;
    case TensorRole::kKey:
      return Group::kKey;
    case TensorRole::kAttentionOutput:
      return Group::kAttentionOutput;
    case TensorRole::kDown:
    case TensorRole::kExpertsDown:
    case TensorRole::kSharedExpertDown:
      return Group::kDown;
    default:
      return Group::kOther;
  }
}

// What the rules ask of the model as a whole.
struct ModelFacts {
  bool falcon = false;
  bool eighty_layers =
      false;         // "70B": 8 query heads share a value matrix that is thus 8 times smaller
  bool tied = true;  // the embedding is the output matrix too
  int64_t experts = 0, query_groups = 1, layers = 0, values = 0;

  explicit ModelFacts(const Checkpoint& model) {
    const Facts& facts = model.facts();
    const std::string architecture = facts.get_string("general.architecture").value_or("");
    // Clamped: the number is untrusted, and is multiplied below.
    layers = std::clamp<int64_t>(facts.get_int("block_count").value_or(0), 0, 1 << 20);
    experts = facts.get_int("expert_count").value_or(0);
    const int64_t heads = first_int(facts, "attention.head_count", 1);
    const int64_t kv_heads = first_int(facts, "attention.head_count_kv", heads);
    query_groups = kv_heads > 0 ? heads / kv_heads : 0;
    falcon = architecture == "falcon";
    eighty_layers =
        layers == 80 && (architecture == "llama" || architecture == "qwen2") && experts != 8;
    tied = model.find({TensorRole::kOutput}) == nullptr;
    values = std::ranges::count_if(model.tensors(), [](const StoredTensor& tensor) {
      return group_of(tensor.place.role) == Group::kValue;
    });
  }

  // Head counts may differ from layer to layer: the rules look at the first.
  static int64_t first_int(const Facts& facts, std::string_view name, int64_t otherwise) {
    if (!facts.is_list(name)) return facts.get_int(name).value_or(otherwise);
    const auto list = facts.get_ints(name);
    return list->empty() ? otherwise : list->front();
  }
};

// The first and last eighth of the layers, and every third between them.
bool use_more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

const Format& value_format(const Recipe& recipe, const ModelFacts& model, int64_t ordinal) {
  if (model.experts == 8) return kQ8_0;  // small beside the experts
  const Format* format = recipe.base;
  switch (recipe.mix) {
    case Mix::kQ2_K:
      format = model.query_groups >= 4 ? &kQ4_K : &kQ3_K;
      break;
    case Mix::kQ3_K_M:
      format = ordinal < 2 ? &kQ5_K : &kQ4_K;
      break;
    case Mix::kQ3_K_L:
      format = &kQ5_K;
      break;
    case Mix::kQ4_K_S:
      if (ordinal < 4) format = &kQ5_K;
      break;
    case Mix::kQ4_K_M:
    case Mix::kQ5_K_M:
      if (use_more_bits(ordinal, model.values)) format = &kQ6_K;
      break;
    case Mix::kIQ4:
      if (model.query_groups >= 4) format = &kQ5_K;
      break;
    default:
      break;
  }
  if (model.eighty_layers && (format == &kQ3_K || format == &kQ4_K)) return kQ5_K;
  return *format;
}

const Format& down_format(const Recipe& recipe, const ModelFacts& model, int64_t layer) {
  const bool more = use_more_bits(layer, model.layers);
  const bool first_eighth = layer < model.layers / 8, first_sixteenth = layer < model.layers / 16;
  switch (recipe.mix) {
    case Mix::kQ2_K:
      return kQ3_K;
    case Mix::kQ3_K_M:
      if (first_sixteenth) return kQ5_K;
      return !model.falcon || more ? kQ4_K : kQ3_K;
    case Mix::kQ3_K_L:
      return model.falcon ? kQ4_K : kQ5_K;
    case Mix::kQ4_K_S:
      return first_eighth && !model.falcon ? kQ5_K : kQ4_K;
    case Mix::kQ4_K_M:
      if (model.falcon) return first_sixteenth ? kQ6_K : more ? kQ5_K : kQ4_K;
      return more ? kQ6_K : kQ4_K;
    case Mix::kQ5_K_M:
      return more ? kQ6_K : kQ5_K;
    case Mix::kIQ4:
      return first_eighth ? kQ5_K : *recipe.base;
    default:
      return *recipe.base;
  }
}

const Format& attention_output_format(const Recipe& recipe, const ModelFacts& model) {
  if (model.falcon) return recipe.mix == Mix::kQ3_K_L ? kQ4_K : *recipe.base;
  if (model.experts == 8) {
    switch (recipe.mix) {
      case Mix::kQ2_K:
      case Mix::kQ3_K_S:
      case Mix::kQ3_K_M:
      case Mix::kQ4_K_S:
      case Mix::kQ4_K_M:
      case Mix::kIQ4:
        return kQ5_K;
      default:
        return *recipe.base;
    }
  }
  switch (recipe.mix) {
    case Mix::kQ2_K:
      return kQ3_K;
    case Mix::kQ3_K_M:
      return kQ4_K;
    case Mix::kQ3_K_L:
      return kQ5_K;
    default:
      return *recipe.base;
  }
}

// The output matrix decides every token, so it gets 6 bits at least.
const Format& output_format(const Recipe& recipe, const ModelFacts& model) {
  const bool eight_bits =
      recipe.mix == Mix::kMXFP4_MOE || recipe.base == &kMXFP4 || recipe.base == &kQ8_0;
  return eight_bits || model.falcon ? kQ8_0 : kQ6_K;
}

// `ordinal` counts the tensors of the same group, from the first layer to the last.
const Format& mixed_format(const Recipe& recipe, const ModelFacts& model,
                           const StoredTensor& tensor, int64_t ordinal) {
  const Group group = group_of(tensor.place.role);
  if (group == Group::kOutput || (group == Group::kEmbedding && model.tied)) {
    return output_format(recipe, model);
  }
  if (recipe.mix == Mix::kMXFP4_MOE)
    return tensor.shape.size() > 2 && tensor.shape[2] > 1 ? kMXFP4 : kQ8_0;
  switch (group) {
    case Group::kEmbedding:
      return recipe.mix == Mix::kTernary && tensor.place.role == TensorRole::kTokenEmbedding
                 ? kQ4_K
                 : *recipe.base;
    case Group::kValue:
      return value_format(recipe, model, ordinal);
    case Group::kKey:
      return model.experts == 8 ? kQ8_0 : *recipe.base;
    // A layer may have several (one for each expert), so there the layer counts.
    case Group::kDown:
      return down_format(recipe, model, model.experts > 1 ? tensor.place.layer : ordinal);
    case Group::kAttentionOutput:
      return attention_output_format(recipe, model);
    default:
      return *recipe.base;
  }
}

}  // namespace

std::span<const Recipe> all_recipes() {
  // File types: enum llama_ftype in llama.cpp's include/llama.h. It counts MXFP4 and NVFP4, though
  // its own llama-quantize makes neither of whole models.
  static const auto kRecipes = std::to_array<Recipe>({
      {"F32", &kF32, 0, Mix::kPlain},        {"F16", &kF16, 1, Mix::kPlain},
      {"BF16", &kBF16, 32, Mix::kPlain},     {"Q4_0", &kQ4_0, 2, Mix::kPlain},
      {"Q4_1", &kQ4_1, 3, Mix::kPlain},      {"Q5_0", &kQ5_0, 8, Mix::kPlain},
      {"Q5_1", &kQ5_1, 9, Mix::kPlain},      {"Q8_0", &kQ8_0, 7, Mix::kPlain},
      {"Q2_K", &kQ2_K, 10, Mix::kQ2_K},      {"Q3_K_S", &kQ3_K, 11, Mix::kQ3_K_S},
      {"Q3_K_M", &kQ3_K, 12, Mix::kQ3_K_M},  {"Q3_K_L", &kQ3_K, 13, Mix::kQ3_K_L},
      {"Q4_K_S", &kQ4_K, 14, Mix::kQ4_K_S},  {"Q4_K_M", &kQ4_K, 15, Mix::kQ4_K_M},
      {"Q5_K_S", &kQ5_K, 16, Mix::kQ5_K_S},  {"Q5_K_M", &kQ5_K, 17, Mix::kQ5_K_M},
      {"Q6_K", &kQ6_K, 18, Mix::kPlain},     {"IQ4_NL", &kIQ4_NL, 25, Mix::kIQ4},
      {"IQ4_XS", &kIQ4_XS, 30, Mix::kIQ4},   {"Q1_0", &kQ1_0, 40, Mix::kPlain},
      {"Q2_0", &kQ2_0, 41, Mix::kTernary},   {"TQ1_0", &kTQ1_0, 36, Mix::kTernary},
      {"TQ2_0", &kTQ2_0, 37, Mix::kTernary}, {"NVFP4", &kNVFP4, 39, Mix::kPlain},
      {"MXFP4", &kMXFP4, 38, Mix::kPlain},   {"MXFP4_MOE", &kMXFP4, 38, Mix::kMXFP4_MOE},
  });
  return kRecipes;
}

namespace {

// nullptr: no such folder.
const Recipe* find_folder_recipe(std::string_view name) {
  const FolderFormat* folder = find_folder_format(name);
  if (folder == nullptr) return nullptr;
  static std::mutex mutex;
  static std::map<const FolderFormat*, Recipe> recipes;
  const std::lock_guard lock(mutex);
  return &recipes.try_emplace(folder, Recipe{folder->name, nullptr, 0, Mix::kFolder, folder})
              .first->second;
}

PlannedFormat folder_format(const FolderFormat& folder, const Checkpoint& model,
                            const StoredTensor& tensor) {
  const Group group = group_of(tensor.place.role);
  if (group == Group::kEmbedding || group == Group::kOutput) {
    const Format& plain = folder.plain_format(model);
    return {&plain, &plain};
  }
  try {
    const Format& format = folder.format_of(tensor.columns());
    return {&format, &format};
  } catch (const Error& error) {
    fail("tensor '{}' has {}", printable(tensor.name), error.what());
  }
}

}  // namespace

const Recipe& require_recipe(std::string_view name) {
  if (const Recipe* folder = find_folder_recipe(name)) return *folder;
  std::string wanted(name);
  for (const auto medium : {"Q3_K", "Q4_K", "Q5_K"}) {
    if (same_name(name, medium)) wanted += "_M";
  }
  std::string known;
  for (const Recipe& recipe : all_recipes()) {
    if (same_name(recipe.name, wanted)) return recipe;
    if (!known.empty()) known += ", ";
    known += recipe.name;
  }
  if (const Format* format = find_format(name); format != nullptr && format->supported()) {
    fail("encoding to {} is not supported; known are {}", format->name, known);
  }
  fail("unknown format '{}'; known are {}; and, of Hugging Face folders, {}", printable(name),
       known, folder_format_names());
}

bool is_reencoded(const StoredTensor& tensor) {
  return tensor.shape.size() >= 2 && tensor.name.ends_with("weight") &&
         tensor.place.role != TensorRole::kDelicate &&
         tensor.place.role != TensorRole::kPositionEmbedding && !is_norm(tensor.place.role);
}

const Format& format_that_fits(const Format& wanted, uint64_t columns) {
  if (columns % wanted.block_elements == 0) return wanted;
  const Format* smaller = &kF16;
  if (&wanted == &kQ2_K || &wanted == &kQ3_K || &wanted == &kIQ4_XS) smaller = &kIQ4_NL;
  if (&wanted == &kTQ1_0 || &wanted == &kTQ2_0 || &wanted == &kQ2_0) smaller = &kQ4_0;
  if (&wanted == &kNVFP4) smaller = &kMXFP4;
  if (&wanted == &kQ1_0) smaller = &kQ2_0;
  if (&wanted == &kQ4_K) smaller = &kQ5_0;
  if (&wanted == &kQ5_K) smaller = &kQ5_1;
  if (&wanted == &kQ6_K) smaller = &kQ8_0;
  return columns % smaller->block_elements == 0 ? *smaller : kF16;
}

std::vector<PlannedFormat> plan_formats(const Checkpoint& model, const Recipe& recipe, bool pure) {
  const ModelFacts facts(model);
  const auto& tensors = model.tensors();

  // Layers are counted in the order of the network, whatever the order in the file.
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) {
    return std::pair<int64_t, std::string_view>(tensors[i].place.layer, tensors[i].name);
  });

  const bool blocks = recipe.base != nullptr && recipe.base->block_elements > 1;
  std::array<int64_t, static_cast<size_t>(Group::kOther) + 1> seen{};
  std::vector<PlannedFormat> plan(tensors.size());
  for (const size_t i : order) {
    const StoredTensor& tensor = tensors[i];
    plan[i] = {tensor.format, tensor.format};
    if (recipe.base == &kF32 && tensor.format->supported()) plan[i] = {&kF32, &kF32};
    if (!is_reencoded(tensor)) continue;
    if (recipe.folder != nullptr) {
      plan[i] = folder_format(*recipe.folder, model, tensor);
      continue;
    }
    const int64_t ordinal = seen[static_cast<size_t>(group_of(tensor.place.role))]++;
    const Format& wanted =
        pure || !blocks ? *recipe.base : mixed_format(recipe, facts, tensor, ordinal);
    plan[i] = {&format_that_fits(wanted, tensor.columns()), &wanted};
  }
  return plan;
}

}  // namespace tessera
