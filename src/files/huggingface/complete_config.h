// config.json in the words that most families use, whatever its own family's are.
#pragma once

#include <nlohmann/json.hpp>

#include "files/huggingface/families.h"

namespace tessera::huggingface {

// The family, by the model type and what else tells of it. Gives `config` what its family calls
// otherwise, and what it means where it is silent. Error for a family that is not known, and for
// what its models may not say.
const Family& complete_config(nlohmann::json& config);

}  // namespace tessera::huggingface
