#include "decode/expected_text.h"

namespace tessera {
namespace {

constexpr int kNear = 8;  // tokens: where the text is looked for after a difference

bool is(std::span<const Token> text, int at, Token token) {
  return at < std::ssize(text) && text[static_cast<size_t>(at)] == token;
}

}  // namespace

ExpectedPlace follow(std::span<const Token> text, ExpectedPlace place, Token token) {
  if (!place.is_lost()) {
    if (is(text, place.at, token)) return {place.at + 1, place.run + 1};
    return {place.at, -1};
  }
  if (is(text, place.behind_replaced(), token)) return {place.behind_replaced() + 1, 1};
  for (int at = place.at; at < place.at + kNear; ++at) {
    if (is(text, at, token)) return {at + 1, 1};
  }
  return {place.at, place.run - 1};
}

int count_predicted(std::span<const Token> text, std::span<const Token> answer) {
  ExpectedPlace place;
  int count = 0;
  for (const Token token : answer) {
    place = follow(text, place, token);
    if (!place.is_lost()) ++count;
  }
  return count;
}

}  // namespace tessera
