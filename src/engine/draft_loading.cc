#include "engine/draft_loading.h"

#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "model/draft_format.h"
#include "text/vocabulary_difference.h"

namespace tessera {
namespace {

constexpr int kMostHead = 1 << 24;

int parse_bits(std::string_view text) {
  if (text != "4" && text != "0")
    fail("'bits' of the draft model is '{}', expected 4, or 0 for those of the file",
         printable(text));
  return text == "4" ? 4 : 0;
}

int parse_head(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kMostHead)
    fail("'head' of the draft model is '{}', expected 0 to {}", printable(text), kMostHead);
  return value;
}

bool parse_bridge(std::string_view text) {
  if (text != "1" && text != "0")
    fail(
        "'bridge' of the draft model is '{}', expected 1 if its vocabulary may be another one, or "
        "0",
        printable(text));
  return text == "1";
}

}  // namespace

DraftReference parse_draft(std::string_view text) {
  DraftReference reference;
  // From the end: a path may hold commas, but hardly ",bits=".
  for (;;) {
    const size_t comma = text.rfind(',');
    if (comma == std::string_view::npos) break;
    const std::string_view part = text.substr(comma + 1);
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    if (equals == std::string_view::npos || part.find('/') != std::string_view::npos) break;
    const std::string_view value = part.substr(equals + 1);
    if (key == "bits") {
      reference.bits = parse_bits(value);
    } else if (key == "head") {
      reference.head = parse_head(value);
    } else if (key == "bridge") {
      reference.bridge = parse_bridge(value);
    } else {
      fail("a draft model has no setting '{}' (known: bits, head, bridge)", printable(key));
    }
    text = text.substr(0, comma);
  }
  if (text.empty())
    fail("the draft model has no name: expected MODEL[,bits=4][,head=32768][,bridge=1]");
  reference.model = text;
  return reference;
}

LoadedDraft load_draft(const DraftReference& reference, const Tokenizer& tokenizer,
                       std::shared_ptr<Backend> backend, Model::Limits limits,
                       const std::function<void(size_t, size_t)>& on_progress) {
  std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(resolve_model(reference.model));
  auto own = Tokenizer::make(checkpoint->read_tokenizer());
  const std::string difference = vocabulary_difference(tokenizer, *own);
  if (!difference.empty() && !reference.bridge) {
    fail("the draft model '{}' has another vocabulary: {}; ',bridge=1' drafts by bytes",
         printable(reference.model), difference);
  }
  const ModelShortcuts shortcuts{.logits = reference.head,
                                 .format = reference.bits == 4 ? draft_format : nullptr};
  LoadedDraft draft{std::make_unique<Model>(std::move(checkpoint), std::move(backend), limits,
                                            on_progress, shortcuts),
                    nullptr};
  if (draft.model->state_bytes() > 0)
    fail("the draft model '{}' has recurrent layers, which is not supported",
         printable(reference.model));
  if (difference.empty()) return draft;
  const auto vocabulary = static_cast<size_t>(draft.model->config().vocabulary);
  if (own->vocabulary_size() > vocabulary) {
    fail("the tokenizer of the draft model '{}' has {} tokens, the model only {}",
         printable(reference.model), own->vocabulary_size(), vocabulary);
  }
  draft.bridge = std::make_unique<VocabularyBridge>(tokenizer, std::move(own));
  return draft;
}

}  // namespace tessera
