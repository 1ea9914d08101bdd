// Which tensor gets which number format when a whole model is re-encoded.
//
// A recipe is a base format and rules that give more bits to the tensors whose error costs most:
// the output matrix, attention values, the way down from the feed-forward network. Names, file-type
// numbers and rules are those that users of llama.cpp know (src/llama-quant.cpp there is the
// reference), so that "Q4_K_M" means here what it means elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "files/save.h"

namespace tessera {

struct Recipe {
  enum class Mix {
    kPlain,  // only the output matrix differs from the base
    kQ2_K,
    kQ3_K_S,
    kQ3_K_M,
    kQ3_K_L,
    kQ4_K_S,
    kQ4_K_M,
    kQ5_K_S,
    kQ5_K_M,
    kIQ4,        // IQ4_NL, IQ4_XS
    kTernary,    // TQ1_0, TQ2_0, Q2_0: an embedding that is no output has 4 bits
    kMXFP4_MOE,  // experts in MXFP4, all else in Q8_0
    kFolder,     // matrices in layers as `folder` has them, others in floats
  };
  std::string_view name;
  const Format* base;
  uint32_t file_type;  // general.file_type
  Mix mix;
  const FolderFormat* folder = nullptr;  // a quantized Hugging Face folder; it has no base
};

std::span<const Recipe> all_recipes();

// By name, without regard to case; "Q3_K", "Q4_K", "Q5_K" stand for their medium mix, and there is
// one for each kind of quantized folder ("gptq-4bit-128g", files/save.h). Error that lists the
// known names if there is none.
const Recipe& require_recipe(std::string_view name);

struct PlannedFormat {
  const Format* format = nullptr;
  // What the recipe asks for; another one if the columns are no whole number of its blocks.
  const Format* wanted = nullptr;
};

// Is it a matrix worth re-encoding?
bool is_reencoded(const StoredTensor& tensor);

// `wanted`, or what comes nearest to it in blocks that `columns` is a whole number of.
const Format& format_that_fits(const Format& wanted, uint64_t columns);

// The format each of model.tensors() is to have. Tensors that are not the weight of a matrix
// (norms, biases, routers, small convolutions, ...) keep their format; only "F32" converts them
// too. A matrix whose columns are no whole number of blocks gets a related format with smaller
// blocks, at last F16. `pure`: the base format wherever it fits, the output matrix included.
std::vector<PlannedFormat> plan_formats(const Checkpoint& model, const Recipe& recipe, bool pure);

}  // namespace tessera
