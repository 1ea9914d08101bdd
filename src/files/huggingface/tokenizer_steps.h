// The parts of a tokenizer.json beside its vocabulary, as the steps of a TextPipeline.
// https://huggingface.co/docs/tokenizers/components
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "checkpoint/text_pipeline.h"

namespace tessera::huggingface {

// All throw Error for a component that is malformed or, by its name, not known.
std::vector<NormalizerStep> read_normalizer(const nlohmann::json& component);
std::vector<WordStep> read_pre_tokenizer(const nlohmann::json& component);

struct Decoding {
  bool of_bytes = false;  // tokens are written in GPT-2's letters
  bool strips_first_space = false;
};
Decoding read_decoder(const nlohmann::json& component);

// The tokens that a post-processor puts around a text.
struct Surroundings {
  std::vector<int64_t> before, after;
  bool yields = false;  // to those that other files name
};
Surroundings read_post_processor(const nlohmann::json& component);

// GPT-2's way to cut words, which ByteLevel has built in.
extern const char* const kGpt2Pattern;

}  // namespace tessera::huggingface
