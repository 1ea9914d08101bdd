// config.json of a model whose facts are known.
#pragma once

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "files/huggingface/families.h"

namespace tessera::huggingface {

// The reverse of read_config (facts.h). `family`: the one of the model's architecture. Error for
// what config.json has no words for.
nlohmann::ordered_json write_config(const Checkpoint& model, const Family& family);

}  // namespace tessera::huggingface
