#include "files/huggingface/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/stored_adapter.h"
#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {
namespace {

// Keys of PEFT's LoraConfig (src/peft/tuners/lora/config.py) that say what it was made of and for,
// or that the tensors themselves say.
constexpr auto kIgnored = std::to_array<std::string_view>(
    {"auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "task_type",
     "peft_version", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
     "lora_dropout", "megatron_core", "qalora_group_size", "loftq_config", "eva_config",
     "corda_config", "runtime_config", "base_model_class", "parent_library"});
// What the constructor reads.
constexpr auto kRead =
    std::to_array<std::string_view>({"peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern",
                                     "alpha_pattern", "bias", "init_lora_weights"});

bool is_one_of(std::string_view key, std::span<const std::string_view> keys) {
  return std::ranges::find(keys, key) != keys.end();
}

// null, false, 0, "" or an empty list or object.
bool asks_for_nothing(const nlohmann::json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.empty();
}

std::string shown(const nlohmann::json& value) {
  return printable(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60);
}

// Some ways to begin take something out of the base model's matrices (PiSSA, OLoRA, CorDA, LoftQ).
void check_beginning(const nlohmann::json* beginning) {
  if (beginning == nullptr || beginning->is_boolean()) return;
  constexpr auto kHarmless = std::to_array<std::string_view>({"gaussian", "eva", "orthogonal"});
  if (beginning->is_string() && is_one_of(beginning->get<std::string>(), kHarmless)) return;
  fail("key 'init_lora_weights' is {}: adapters that change the base model are not supported",
       shown(*beginning));
}

double positive(const ConfigReader& reader, std::string_view key) {
  const auto value = reader.number(key);
  if (!value) fail("key '{}' is missing", key);
  if (!(*value > 0)) fail("key '{}' is {}, expected more than 0", key, *value);
  return *value;
}

}  // namespace

PeftConfig::PeftConfig(const nlohmann::json& config) {
  const ConfigReader reader(config);
  const std::string type = reader.text("peft_type").value_or("");
  if (type != "LORA") fail("key 'peft_type' is '{}', expected 'LORA'", printable(type));
  rank_ = positive(reader, "r");
  alpha_ = positive(reader, "lora_alpha");
  is_stabilized_ = reader.boolean("use_rslora").value_or(false);
  ranks_ = read_patterns(config, "rank_pattern");
  alphas_ = read_patterns(config, "alpha_pattern");
  if (const std::string bias = reader.text("bias").value_or("none"); bias != "none")
    fail("key 'bias' is '{}': adapters that change biases are not supported", printable(bias));
  check_beginning(reader.find("init_lora_weights"));
  for (const auto& [key, value] : config.items()) {
    if (is_one_of(key, kIgnored) || is_one_of(key, kRead) || asks_for_nothing(value)) continue;
    fail("key '{}' is {}, which is not supported in a LoRA adapter", printable(key), shown(value));
  }
}

std::vector<PeftConfig::Pattern> PeftConfig::read_patterns(const nlohmann::json& config,
                                                           std::string_view key) {
  std::vector<Pattern> patterns;
  const nlohmann::json* object = ConfigReader(config).object(key);
  if (object == nullptr) return patterns;
  if (object->size() > kMostNamePatterns)
    fail("key '{}' has {} entries, expected at most {}", key, object->size(), kMostNamePatterns);
  for (const auto& [name, value] : object->items()) {
    if (!value.is_number() || !(value.get<double>() > 0))
      fail("key '{}' has {} for '{}', expected a number above 0", key, shown(value),
           printable(name));
    // As PEFT's get_pattern_key() has it.
    patterns.push_back({name, NamePattern("(.*\\.)?(" + name + ")$"), value.get<double>()});
  }
  return patterns;
}

// PEFT takes the first that fits in the order of the file, which JSON does not have.
double PeftConfig::find(const std::vector<Pattern>& patterns, std::string_view module,
                        double otherwise) {
  const Pattern* found = nullptr;
  for (const Pattern& pattern : patterns) {
    if (!pattern.names.matches(module)) continue;
    if (found != nullptr && found->value != pattern.value) {
      fail("'{}' and '{}' both name module '{}', with {} and {}", printable(found->key),
           printable(pattern.key), printable(module), found->value, pattern.value);
    }
    found = &pattern;
  }
  return found == nullptr ? otherwise : found->value;
}

float PeftConfig::scale_of(std::string_view module, uint64_t rank) const {
  const double said = find(ranks_, module, rank_);
  if (rank < 1 || rank > kMaxRank || said != static_cast<double>(rank)) {
    fail("module '{}' has matrices of rank {}, adapter_config.json says {}", printable(module),
         rank, said);
  }
  const double alpha = find(alphas_, module, alpha_);
  return static_cast<float>(alpha / (is_stabilized_ ? std::sqrt(said) : said));
}

}  // namespace tessera::huggingface
