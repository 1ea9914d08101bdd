// A draft model as people ask for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "text/vocabulary_bridge.h"

namespace tessera {

// "MODEL[,bits=4|0][,head=N][,bridge=0|1]": a file or a name; the bits that its matrices are cut
// to, and of how many of the first tokens it has logits, 0: as the file has it; whether its
// vocabulary may be another one. Error if that is not understood.
struct DraftReference {
  std::string model;
  int bits = 4, head = 32768;
  bool bridge = false;
};
DraftReference parse_draft(std::string_view text);

struct LoadedDraft {
  std::unique_ptr<Model> model;
  std::unique_ptr<const VocabularyBridge> bridge;  // null: the vocabulary is the same
};
// For texts that are cut by `tokenizer`, which must outlive the bridge. Error that names the first
// difference if the draft's own vocabulary is another one and no bridge is asked for.
// `on_progress`: see Model; may be empty.
LoadedDraft load_draft(const DraftReference& reference, const Tokenizer& tokenizer,
                       std::shared_ptr<Backend> backend, Model::Limits limits,
                       const std::function<void(size_t, size_t)>& on_progress);

}  // namespace tessera
