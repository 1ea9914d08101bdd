#include <algorithm>

#include "serve/api/answer_parts.h"

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

class CompletionAnswers final : public ChoiceAnswers {
 public:
  CompletionAnswers(const Tokenizer& tokenizer, AnswersOptions options)
      : ChoiceAnswers(tokenizer, std::move(options), "cmpl-", "text_completion", "text_completion"),
        choices_(options_.choices) {}

  std::vector<Json> begin() override {
    std::vector<Json> chunks;
    for (int i = 0; i < static_cast<int>(options_.echoes.size()); ++i) {
      choices_[i].text = options_.echoes[i].text;
      choices_[i].offset = options_.echoes[i].text.size();
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
      choice.finish_reason = take(*update.outcome, update.choice);
      chunks.push_back(chunk(update.choice, "", choice.finish_reason, nullptr));
    }
    return chunks;
  }

  Json whole() override {
    Json choices = Json::array();
    for (int i = 0; i < options_.choices; ++i) {
      Choice& choice = choices_[i];
      choices.push_back({{"index", i},
                         {"text", std::move(choice.text)},
                         {"logprobs", options_.logprobs ? choice.logprobs.json() : Json()},
                         {"finish_reason", choice.finish_reason}});
    }
    return object_of(std::move(choices));
  }

 private:
  struct Choice {
    std::string text, finish_reason;
    bool echoed = false;
    size_t offset = 0;  // of the next token in the text, in bytes
    TokenLists logprobs;
  };

  TokenLists answer_lists(Choice& choice, const std::vector<TokenLogprobs>& entries) const {
    TokenLists lists;
    for (const TokenLogprobs& entry : entries) {
      add_entry(entry, lists);
      lists.text_offset.push_back(choice.offset);
      choice.offset += shown(tokenizer_, entry.token).size();
    }
    return lists;
  }

  // Of the prompt's tokens. Nothing tells how likely the first one was.
  TokenLists prompt_lists(const Echo& echo, const std::vector<TokenLogprobs>& entries) const {
    TokenLists lists;
    lists.tokens.push_back(shown(tokenizer_, echo.first_token));
    lists.token_logprobs.push_back(nullptr);
    lists.top_logprobs.push_back(nullptr);
    for (const TokenLogprobs& entry : entries) add_entry(entry, lists);
    // Counted from the end: a token that begins the text for the model only is not in the echo.
    size_t offset = echo.text.size();
    for (size_t i = lists.tokens.size(); i-- > 0;) {
      offset -= std::min(offset, lists.tokens[i].get_ref<const std::string&>().size());
      lists.text_offset.push_back(offset);
    }
    std::ranges::reverse(lists.text_offset.get_ref<Json::array_t&>());
    return lists;
  }

  void add_entry(const TokenLogprobs& entry, TokenLists& lists) const {
    lists.tokens.push_back(shown(tokenizer_, entry.token));
    lists.token_logprobs.push_back(finite(entry.logprob));
    Json top = Json::object();
    // Two tokens may look alike; the likelier one stays.
    for (const auto& [other, logprob] : entry.top)
      top.emplace(shown(tokenizer_, other), finite(logprob));
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
