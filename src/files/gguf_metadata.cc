#include "files/gguf_metadata.h"

#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/printable.h"
#include "files/gguf/facts.h"
#include "files/gguf/layout.h"
#include "files/gguf/tokenizer.h"
#include "files/huggingface/folder.h"

namespace tessera {

GgufMetadata gguf_metadata(const Checkpoint& model) {
  const auto* facts = dynamic_cast<const GgufFacts*>(&model.facts());
  if (facts == nullptr)
    fail("'{}' cannot be written as GGUF", printable(model.paths().at(0).string(), 400));
  GgufMetadata metadata = facts->metadata();
  // They described the files this metadata was read from.
  for (const auto key : {gguf::kSplitNoKey, gguf::kSplitCountKey, gguf::kSplitTensorsKey})
    metadata.erase(key);
  if (dynamic_cast<const HuggingFaceFolder*>(&model) == nullptr) return metadata;
  // What the folder's int8 was made for, other formats were not: --llm-int8 asks for it.
  metadata.erase("general.llm_int8_threshold");
  // A folder keeps its tokenizer in files of its own.
  const StoredTensor* embedding = model.find({TensorRole::kTokenEmbedding});
  const auto lost = gguf::write_tokenizer(model.read_tokenizer(), model.read_chat_templates(),
                                          metadata, embedding == nullptr ? 0 : embedding->rows());
  for (const std::string& line : lost) spdlog::warn("{}", line);
  return metadata;
}

}  // namespace tessera
