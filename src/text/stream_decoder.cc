#include "text/stream_decoder.h"

#include "base/utf8.h"

namespace tessera {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool special)
    : tokenizer_(&tokenizer), special_(special) {}

std::string StreamDecoder::push(Token token) {
  pending_ += tokenizer_->piece(token, special_);
  std::string complete;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Prefix prefix = inspect_utf8(rest);
    if (prefix.kind == Utf8Prefix::Kind::kIncomplete) break;
    const bool valid = prefix.kind == Utf8Prefix::Kind::kComplete;
    complete += valid ? rest.substr(0, prefix.length) : kReplacementCharacter;
    rest.remove_prefix(prefix.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return complete;
}

std::string StreamDecoder::finish() {
  // What waits is the beginning of one character: a single maximal subpart.
  std::string rest(pending_.empty() ? std::string_view() : kReplacementCharacter);
  pending_.clear();
  return rest;
}

}  // namespace tessera
