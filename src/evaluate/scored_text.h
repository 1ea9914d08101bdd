// A text cut into chunks, of which the second half is scored: what a reader of it thinks of each
// position, beside the token that came next.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backend/kv_format.h"
#include "base/function_ref.h"
#include "model/reader.h"
#include "text/tokenizer.h"

namespace tessera {

// The text is cut into chunks of `context` tokens; each is read from nothing, and the second half
// of it is scored (llama.cpp's definition, so that figures compare).
struct ScoreOptions {
  int context = 512;
  int chunks = 0;  // 0: as many as the text fills
  KvFormat kv_format = KvFormat::kF16;
  std::function<void(size_t done, size_t total)> on_progress;
};

struct ScoredText {
  std::vector<Token> tokens;
  std::optional<Token> bos;  // stands in place of each chunk's first token
  int context = 0, chunks = 0;

  int scored_in_chunk() const { return context - 1 - context / 2; }
  std::vector<Token> chunk(int index) const;
};

// Throws Error if the text does not fill one chunk.
ScoredText cut_scored_text(const Tokenizer& tokenizer, std::string_view text,
                           const ScoreOptions& options);

// Calls score(logits of the readers, row, the token that came next) at each scored position of a
// chunk. The readers go in step: what each thinks of a position is there together.
using Score = FunctionRef<void(std::span<const HostRows> logits, int row, Token next)>;
void score_chunk(std::span<Reader> readers, const ScoredText& text, int chunk, Score score);

}  // namespace tessera
