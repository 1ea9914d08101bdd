// Layers that predict further tokens (multi-token prediction, DeepSeek-V3 2024), which stand behind
// a model's own. Folders number them on from these (DeepSeek, GLM), or keep the one that there is
// apart (Qwen); what config.json says of their number is not always what a folder holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::huggingface {

// "mtp.layers.0.mlp.up_proj.weight" and "mtp.fc.weight" by the names that other folders have for
// them in layer number `layers`; other names as they are.
std::string numbered_next_token_name(std::string_view name, int64_t layers);

// How many layers from number `layers` on have a projection of hidden states and embeddings, which
// no other layer has. Names are numbered.
int count_next_token_layers(const std::vector<std::string>& names, int64_t layers);

}  // namespace tessera::huggingface
