#include "model/reader.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace tessera {
namespace {

int checked_length(const Model& model, int tokens) {
  model.require_logits();  // for those without, chunks of a text mean nothing
  const int most = model.config().context;
  if (tokens > most)
    fail("a text of {} tokens does not fit the model's context of {}", tokens, most);
  return tokens;
}

}  // namespace

Reader::Reader(Model& model, int tokens, KvFormat format)
    : model_(model), context_(model, checked_length(model, tokens), format) {}

int Reader::most_rows(Logits wanted) const {
  const Model::Limits& limits = model_.limits();
  return wanted == Logits::kAll ? std::min(limits.rows, limits.wanted_rows) : limits.rows;
}

HostRows Reader::step(std::span<const Token> tokens, Logits wanted) {
  const int rows = static_cast<int>(tokens.size());
  Batch batch;
  batch.add_chain(tokens, position_, context_.block_table, &model_.default_adapters(),
                  context_.go_on(position_, rows));
  batch.wanted.resize(wanted == Logits::kAll ? rows : wanted == Logits::kLast ? 1 : 0);
  std::iota(batch.wanted.begin(), batch.wanted.end(), wanted == Logits::kLast ? rows - 1 : 0);
  const Tensor logits = model_.forward(batch, *context_.kv);
  position_ += rows;
  return logits.rows > 0 ? model_.backend().download(logits) : HostRows();
}

void Reader::read(std::span<const Token> tokens, Logits wanted,
                  FunctionRef<void(HostRows logits, int first)> on_logits, int rows) {
  const auto most = static_cast<size_t>(rows > 0 ? rows : most_rows(wanted));
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min(most, tokens.size()));
    const HostRows logits = step(part, wanted);
    if (logits.rows > 0) on_logits(logits, position_ - logits.rows);
    tokens = tokens.subspan(part.size());
  }
}

}  // namespace tessera
