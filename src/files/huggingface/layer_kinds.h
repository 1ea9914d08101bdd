// Models whose layers are of different kinds: what config.json says of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {

enum class LayerKind : uint8_t { kAttention, kRecurrent, kFeedForward, kExperts };

// One entry a layer, in one of the ways in which folders say it; nothing if config.json is silent.
// Error for a kind that is not known.
std::vector<LayerKind> read_layer_kinds(const ConfigReader& config);

// The feed-forward length that LFM2 makes of the one that it says; nothing if it is what it says.
std::optional<uint32_t> adjusted_feed_forward(const ConfigReader& config);

// Error if steps of state-space layers are bounded, which no model that people run does.
void check_step_limits(const ConfigReader& config);

}  // namespace tessera::huggingface
