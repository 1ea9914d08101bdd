// What Llama 4's folders say in their own way: layers that attend to chunks and layers that are a
// mixture, queries that grow, and experts whose matrices lie in two tensors of a layer, along other
// axes. Source: configuration_llama4.py and modeling_llama4.py of Hugging Face's transformers.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/stored_tensor.h"
#include "files/gguf/metadata.h"
#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {

struct Llama4Fact {
  std::string fact, key;  // how config.json spells it
  GgufValue value;
};

// Under GGUF's names. Error for what is not supported or does not fit.
std::vector<Llama4Fact> read_llama4_layers(const ConfigReader& from);

// X.experts.gate_up_proj [experts, embedding, 2 feed_forward], gate and then up, and
// X.experts.down_proj [experts, feed_forward, embedding] become X.experts.gate_proj.weight,
// up_proj.weight and down_proj.weight [experts, rows, columns]. Error for other shapes.
std::vector<StoredTensor> split_llama4_experts(std::vector<StoredTensor> tensors);

}  // namespace tessera::huggingface
