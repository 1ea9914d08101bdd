#include "evaluate/scored_text.h"

#include <algorithm>

#include "base/error.h"

namespace tessera {

ScoredText cut_scored_text(const Tokenizer& tokenizer, std::string_view text,
                           const ScoreOptions& options) {
  if (options.context < 2)
    fail("chunks of {} tokens score nothing, expected 2 or more", options.context);
  ScoredText cut{.tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false}),
                 .bos = tokenizer.adds_bos() ? tokenizer.bos() : std::nullopt,
                 .context = options.context};
  cut.chunks = static_cast<int>(cut.tokens.size()) / options.context;
  if (cut.chunks == 0) {
    fail("the text has {} tokens, one chunk needs {}", cut.tokens.size(), options.context);
  }
  if (options.chunks > 0) cut.chunks = std::min(cut.chunks, options.chunks);
  return cut;
}

std::vector<Token> ScoredText::chunk(int index) const {
  const auto begin = tokens.begin() + static_cast<ptrdiff_t>(index) * context;
  std::vector<Token> cut(begin, begin + context);
  if (bos) cut[0] = *bos;
  return cut;
}

void score_chunk(std::span<Reader> readers, const ScoredText& text, int chunk, Score score) {
  const std::vector<Token> tokens = text.chunk(chunk);
  const int half = text.context / 2, scored = text.scored_in_chunk();
  int rows = scored;
  for (Reader& reader : readers) {
    rows = std::min(rows, reader.most_rows(Reader::Logits::kAll));
    reader.rewind();
    reader.read(std::span(tokens).first(half));
  }
  std::vector<HostRows> logits(readers.size());
  std::vector<std::vector<float>> kept(readers.size());
  for (int first = half; first < half + scored; first += rows) {
    const int count = std::min(rows, half + scored - first);
    for (size_t i = 0; i < readers.size(); ++i) {
      logits[i] = readers[i].step(std::span(tokens).subspan(first, count), Reader::Logits::kAll);
      // The next reader's step may end what was downloaded: they may share a backend, or a model.
      if (i + 1 < readers.size()) logits[i] = logits[i].copy(kept[i]);
    }
    for (int r = 0; r < count; ++r) score(logits, r, tokens[first + r + 1]);
  }
}

}  // namespace tessera
