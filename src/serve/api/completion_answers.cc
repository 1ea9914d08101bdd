#include <algorithm>

#include "base/utf8.h"
#include "serve/api/answer_parts.h"
#include "text/stream_decoder.h"

namespace tessera::serve {
namespace {

// OpenAI's lists, an entry for each token.
struct TokenLists {
  Json tokens = Json::array(), token_logprobs = Json::array(), top_logprobs = Json::array(),
       text_offset = Json::array();

  void append(const TokenLists& other) {
    for (const auto list : {&TokenLists::tokens, &TokenLists::token_logprobs,
                            &TokenLists::top_logprobs, &TokenLists::text_offset}) {
      for (const Json& value : other.*list) (this->*list).push_back(value);
    }
  }
  Json json() const {
    return {{"tokens", tokens},
            {"token_logprobs", token_logprobs},
            {"top_logprobs", top_logprobs},
            {"text_offset", text_offset}};
  }
};

// Where each character of `text` ends, in bytes. Bytes that belong to none are shown as U+FFFD.
std::vector<size_t> character_ends(std::string_view text) {
  std::vector<size_t> ends;
  for (size_t at = 0; at < text.size();) {
    at += inspect_utf8(text.substr(at)).length;
    ends.push_back(at);
  }
  return ends;
}

class CompletionAnswers final : public ChoiceAnswers {
 public:
  CompletionAnswers(const Tokenizer& tokenizer, AnswersOptions options)
      : ChoiceAnswers(tokenizer, std::move(options), "cmpl-", "text_completion", "text_completion"),
        choices_(options_.choices, Choice(tokenizer)) {}

  std::vector<Json> begin() override {
    std::vector<Json> chunks;
    for (int i = 0; i < static_cast<int>(options_.echoes.size()); ++i) {
      choices_[i].text = options_.echoes[i].text;
      choices_[i].offset = character_ends(options_.echoes[i].text).size();
      // With logprobs it goes out when these are there.
      if (!options_.logprobs) chunks.push_back(chunk(i, choices_[i].text, nullptr, nullptr));
    }
    return chunks;
  }

  std::vector<Json> add(Update update) override {
    Choice& choice = choices_[update.choice];
    std::vector<Json> chunks;
    const bool echoes = options_.logprobs && !options_.echoes.empty();
    if (echoes && !std::exchange(choice.echoed, true)) {
      const Echo& echo = options_.echoes[update.choice];
      choice.logprobs = prompt_lists(echo, update.prompt_logprobs);
      chunks.push_back(chunk(update.choice, echo.text, nullptr, choice.logprobs.json()));
    }
    choice.text += update.text;
    if (!update.text.empty() || !update.logprobs.empty()) {
      Json logprobs;
      if (options_.logprobs) {
        const TokenLists lists = answer_lists(choice, update.logprobs);
        choice.logprobs.append(lists);
        logprobs = lists.json();
      }
      chunks.push_back(chunk(update.choice, std::move(update.text), nullptr, std::move(logprobs)));
    }
    if (update.outcome) {
      choice.is_absent = update.outcome->is_absent;
      choice.finish_reason = take(*update.outcome, update.choice);
      chunks.push_back(chunk(update.choice, "", choice.finish_reason, nullptr));
    }
    return chunks;
  }

  Json whole() override {
    Json choices = Json::array();
    for (int i = 0; i < options_.choices; ++i) {
      Choice& choice = choices_[i];
      if (choice.is_absent) continue;
      choices.push_back({{"index", i},
                         {"text", std::move(choice.text)},
                         {"logprobs", options_.logprobs ? choice.logprobs.json() : Json()},
                         {"finish_reason", choice.finish_reason}});
    }
    return object_of(std::move(choices));
  }

 private:
  struct Choice {
    explicit Choice(const Tokenizer& tokenizer) : decoder(tokenizer) {}

    std::string text, finish_reason;
    bool echoed = false, is_absent = false;
    StreamDecoder decoder;  // of the tokens that have logprobs
    size_t offset = 0;      // of the next one in the text: the whole characters before it
    TokenLists logprobs;
  };

  TokenLists answer_lists(Choice& choice, const std::vector<TokenLogprobs>& entries) const {
    TokenLists lists;
    for (const TokenLogprobs& entry : entries) {
      add_entry(entry, lists);
      lists.text_offset.push_back(choice.offset);
      if (static_cast<size_t>(entry.token) < tokenizer_.vocabulary_size())
        choice.offset += character_ends(choice.decoder.push(entry.token)).size();
    }
    return lists;
  }

  // Of the prompt's tokens. Nothing tells how likely the first one was.
  TokenLists prompt_lists(const Echo& echo, const std::vector<TokenLogprobs>& entries) const {
    TokenLists lists;
    std::vector<size_t> bytes = {size_of(echo.first_token)};
    lists.tokens.push_back(spelled(tokenizer_, echo.first_token));
    lists.token_logprobs.push_back(nullptr);
    lists.top_logprobs.push_back(nullptr);
    for (const TokenLogprobs& entry : entries) {
      add_entry(entry, lists);
      bytes.push_back(size_of(entry.token));
    }
    // Counted from the end: a token that begins the text for the model only is not in the echo.
    const std::vector<size_t> ends = character_ends(echo.text);
    size_t offset = echo.text.size();
    for (size_t i = bytes.size(); i-- > 0;) {
      offset -= std::min(offset, bytes[i]);
      lists.text_offset.push_back(std::ranges::upper_bound(ends, offset) - ends.begin());
    }
    std::ranges::reverse(lists.text_offset.get_ref<Json::array_t&>());
    return lists;
  }

  size_t size_of(Token token) const { return tokenizer_.piece(token, true).size(); }

  void add_entry(const TokenLogprobs& entry, TokenLists& lists) const {
    lists.tokens.push_back(spelled(tokenizer_, entry.token));
    lists.token_logprobs.push_back(finite(entry.logprob));
    Json top = Json::object();
    // Two tokens may look alike; the likelier one stays.
    for (const auto& [other, logprob] : entry.top)
      top.emplace(spelled(tokenizer_, other), finite(logprob));
    lists.top_logprobs.push_back(std::move(top));
  }

  Json chunk(int index, std::string text, Json finish_reason, Json logprobs) const {
    return chunk_of({{"index", index},
                     {"text", std::move(text)},
                     {"logprobs", std::move(logprobs)},
                     {"finish_reason", std::move(finish_reason)}});
  }

  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<Answers> make_completion_answers(const Tokenizer& tokenizer,
                                                 AnswersOptions options) {
  return std::make_unique<CompletionAnswers>(tokenizer, std::move(options));
}

}  // namespace tessera::serve
