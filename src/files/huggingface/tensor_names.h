// What Hugging Face folders call their tensors.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/tensor_names.h"
#include "files/huggingface/families.h"

namespace tessera::huggingface {

// "model.layers.3.self_attn.q_proj.weight". See TensorNames.
std::string tensor_name(const Family& family, TensorPlace place);
TensorPlace tensor_place(const Family& family, std::string_view name);

// Tensors that are no weights of the language model: those of vision and audio towers and of the
// projections behind them, and tables that old folders keep though they follow from the
// configuration; and of models that embed texts, the heads of the tasks that trained them.
bool is_ignored(const Family& family, std::string_view name);

}  // namespace tessera::huggingface
