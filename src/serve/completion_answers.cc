#include <algorithm>

#include "serve/answer_parts.h"

namespace tessera::serve {
namespace {

class CompletionAnswers final : public Answers {
 public:
  CompletionAnswers(const Tokenizer& tokenizer, AnswersOptions options)
      : tokenizer_(tokenizer),
        options_(std::move(options)),
        envelope_(new_envelope("cmpl-", options_.model)),
        choices_(options_.choices) {}

  std::vector<Json> begin() override {
    std::vector<Json> chunks;
    for (int i = 0; i < static_cast<int>(options_.echoes.size()); ++i) {
      choices_[i].text = options_.echoes[i];
      choices_[i].offset = options_.echoes[i].size();
      chunks.push_back(chunk(i, options_.echoes[i], nullptr, nullptr));
    }
    return chunks;
  }

  std::vector<Json> add(Update update) override {
    Choice& choice = choices_[update.choice];
    choice.text += update.text;
    Json logprobs = options_.logprobs ? logprobs_of(choice, update) : Json();
    std::vector<Json> chunks;
    if (!update.text.empty() || !update.logprobs.empty()) {
      chunks.push_back(chunk(update.choice, std::move(update.text), nullptr, logprobs));
    }
    if (update.outcome) {
      const Outcome& outcome = *update.outcome;
      choice.finish_reason = finish_reason_of(outcome);
      if (error_.empty()) error_ = outcome.error;
      usage_.add(outcome, update.choice % options_.choices_per_prompt == 0);
      chunks.push_back(chunk(update.choice, "", choice.finish_reason, nullptr));
    }
    return chunks;
  }

  std::vector<Json> end() override {
    if (!options_.include_usage) return {};
    Json json = envelope_.object("text_completion");
    json["choices"] = Json::array();
    json["usage"] = usage_.json();
    return {json};
  }

  Json whole() override {
    Json json = envelope_.object("text_completion");
    json["choices"] = Json::array();
    for (int i = 0; i < options_.choices; ++i) {
      Choice& choice = choices_[i];
      json["choices"].push_back({{"index", i},
                                 {"text", std::move(choice.text)},
                                 {"logprobs", options_.logprobs ? choice.logprobs : Json()},
                                 {"finish_reason", choice.finish_reason}});
    }
    json["usage"] = usage_.json();
    return json;
  }

 private:
  static Json empty_logprobs() {
    return {{"tokens", Json::array()},
            {"token_logprobs", Json::array()},
            {"top_logprobs", Json::array()},
            {"text_offset", Json::array()}};
  }
  struct Choice {
    std::string text, finish_reason;
    size_t offset = 0;  // of the next token in the text, in bytes
    Json logprobs = empty_logprobs();
  };

  // Of this update; the choice keeps them all.
  Json logprobs_of(Choice& choice, const Update& update) const {
    Json json = empty_logprobs();
    for (const TokenLogprobs& entry : update.logprobs) {
      const std::string token = shown(tokenizer_, entry.token);
      Json top = Json::object();
      for (const auto& [other, logprob] : entry.top) {
        // Two tokens may look alike; the likelier one stays.
        top.emplace(shown(tokenizer_, other), std::max(logprob, -9999.0f));
      }
      json["tokens"].push_back(token);
      json["token_logprobs"].push_back(std::max(entry.logprob, -9999.0f));
      json["top_logprobs"].push_back(std::move(top));
      json["text_offset"].push_back(choice.offset);
      choice.offset += token.size();
    }
    for (const auto& [name, list] : json.items()) {
      for (const Json& value : list) choice.logprobs[name].push_back(value);
    }
    return json;
  }

  Json chunk(int index, std::string text, Json finish_reason, Json logprobs) const {
    Json json = envelope_.object("text_completion");
    json["choices"] = Json::array();
    json["choices"].push_back({{"index", index},
                               {"text", std::move(text)},
                               {"logprobs", std::move(logprobs)},
                               {"finish_reason", std::move(finish_reason)}});
    if (options_.include_usage) json["usage"] = nullptr;
    return json;
  }

  const Tokenizer& tokenizer_;
  AnswersOptions options_;
  Envelope envelope_;
  std::vector<Choice> choices_;
  Usage usage_;
};

}  // namespace

std::unique_ptr<Answers> make_completion_answers(const Tokenizer& tokenizer,
                                                 AnswersOptions options) {
  return std::make_unique<CompletionAnswers>(tokenizer, std::move(options));
}

}  // namespace tessera::serve
