// What is learned beside a model, as if it were stored: so parts that no checkpoint has yet are
// loaded as any others, with the values of now.
#pragma once

#include "checkpoint/checkpoint.h"
#include "train/learned.h"

namespace tessera::train {

class LearnedCheckpoint final : public Checkpoint {
 public:
  // The tensors are what `learned.whole` holds, by reference; the facts those of `model`.
  LearnedCheckpoint(const Learned& learned, const Checkpoint& model);

  const Facts& facts() const override { return model_.facts(); }
  TokenizerData read_tokenizer() const override { return model_.read_tokenizer(); }
  ChatTemplates read_chat_templates() const override { return model_.read_chat_templates(); }

 protected:
  std::string tensor_name(TensorPlace place) const override;
  TensorPlace tensor_place(std::string_view name) const override;

 private:
  const Checkpoint& model_;
};

}  // namespace tessera::train
