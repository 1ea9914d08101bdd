// Medusa heads (Cai et al. 2024, arXiv 2401.10774) as they are published in safetensors.
//
//   FasterDecoding   {head}.{layer}.linear.weight, .bias, then {head}.{layers}.weight; the second
//                    kind of training prefixes "medusa_head."
//   vLLM             blocks.{head}.layers.{layer}.weight, .bias, then lm_heads.{head}.weight, or
//                    lm_head.weight for all of them; token_map, where they know fewer tokens
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "files/gguf/facts.h"

namespace tessera {

class MedusaFile final : public Checkpoint {
 public:
  // Throws Error if it is malformed, or holds anything but heads, as many layers in each.
  static MedusaFile open(const std::filesystem::path& path);

  const Facts& facts() const override { return *facts_; }  // of the architecture "medusa"
  TokenizerData read_tokenizer() const override;           // Error: there is none
  ChatTemplates read_chat_templates() const override { return {}; }

 private:
  MedusaFile() = default;
  std::string tensor_name(TensorPlace place) const override;
  TensorPlace tensor_place(std::string_view name) const override;

  std::unique_ptr<const GgufFacts> facts_;
  int layers_ = 0;  // of a head
};

}  // namespace tessera
