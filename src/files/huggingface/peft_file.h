// A PEFT adapter as a file to look at, without the model that it is for.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "files/gguf/facts.h"

namespace tessera::huggingface {

// Its facts are the keys of adapter_config.json; lists and objects are JSON in a text.
class PeftFile final : public Checkpoint {
 public:
  // `path`: the folder, or the safetensors file. Error for anything malformed; what it asks for is
  // not judged (see open_peft).
  static PeftFile open(const std::filesystem::path& path);

  const Facts& facts() const override { return *facts_; }
  const GgufMetadata& metadata() const { return facts_->metadata(); }
  TokenizerData read_tokenizer() const override;  // Error: there is none
  ChatTemplates read_chat_templates() const override { return {}; }

 private:
  PeftFile() = default;
  std::string tensor_name(TensorPlace) const override { return {}; }
  TensorPlace tensor_place(std::string_view) const override { return {}; }

  std::unique_ptr<const GgufFacts> facts_;
};

}  // namespace tessera::huggingface
