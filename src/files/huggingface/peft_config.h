// adapter_config.json: how a PEFT adapter is scaled, and whether it is one that is understood.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/huggingface/layouts/name_pattern.h"

namespace tessera::huggingface {

class PeftConfig {
 public:
  // Error for another kind than LoRA, and by name for every key that would change the answers and
  // is not understood.
  explicit PeftConfig(const nlohmann::json& config);

  // What B A of a module ("model.layers.3.self_attn.q_proj") is multiplied with: alpha / rank, or
  // alpha / sqrt(rank) of rank-stabilized LoRA (Kalajdzievski 2023, arXiv 2312.03732). Error if its
  // rank is not what the configuration says.
  float scale_of(std::string_view module, uint64_t rank) const;

 private:
  // Modules whose name, or the end of it behind a dot, is what the key says: a regular expression.
  struct Pattern {
    std::string key;
    NamePattern names;
    double value;
  };
  static std::vector<Pattern> read_patterns(const nlohmann::json& config, std::string_view key);
  static double find(const std::vector<Pattern>& patterns, std::string_view module,
                     double otherwise);

  double rank_ = 0, alpha_ = 0;
  bool is_stabilized_ = false;
  std::vector<Pattern> ranks_, alphas_;
};

}  // namespace tessera::huggingface
