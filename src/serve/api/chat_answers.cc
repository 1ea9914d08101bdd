#include <optional>

#include "serve/api/answer_parts.h"
#include "serve/http/identifiers.h"

namespace tessera::serve {
namespace {

Json bytes_of(const Tokenizer& tokenizer, Token token) {
  Json bytes = Json::array();
  if (static_cast<size_t>(token) >= tokenizer.vocabulary_size()) return bytes;
  for (const char c : tokenizer.piece(token, true)) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

class ChatAnswers final : public ChoiceAnswers {
 public:
  ChatAnswers(const Tokenizer& tokenizer, AnswersOptions options)
      : ChoiceAnswers(tokenizer, std::move(options), "chatcmpl-", "chat.completion",
                      "chat.completion.chunk") {
    for (int i = 0; i < options_.choices; ++i) {
      Choice& choice = choices_.emplace_back();
      if (options_.tool_style == ToolStyle::kGemma4) {
        choice.parser.emplace(
            ChannelParser::Options{.thoughts = options_.tells_thoughts, .calls = options_.tools});
      } else if (options_.tools) {
        choice.parser.emplace(options_.tool_style, options_.tool_names);
      }
    }
  }

  std::vector<Json> begin() override {
    std::vector<Json> chunks;
    for (int i = 0; i < options_.choices; ++i) {
      chunks.push_back(chunk(i, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr));
    }
    return chunks;
  }

  std::vector<Json> add(Update update) override {
    Choice& choice = choices_[update.choice];
    const bool last = update.outcome.has_value();
    ToolCallParser::Output output = read(choice, update);
    Json delta = Json::object();
    if (!output.content.empty()) delta["content"] = output.content;
    if (!output.reasoning.empty()) delta["reasoning_content"] = output.reasoning;
    Json calls = Json::array();
    for (ToolCall& call : output.calls) {
      if (!options_.parallel_tool_calls && !choice.calls.empty()) break;
      choice.last_call_is_whole = call.is_whole;
      Json json = to_json(call);
      Json indexed = {{"index", choice.calls.size()}};
      indexed.update(json);
      calls.push_back(std::move(indexed));
      choice.calls.push_back(std::move(json));
    }
    if (!calls.empty()) delta["tool_calls"] = std::move(calls);
    choice.content += output.content;
    choice.reasoning += output.reasoning;
    Json logprobs = logprobs_of(update);
    for (const Json& entry : logprobs) choice.logprobs.push_back(entry);

    std::vector<Json> chunks;
    if (!delta.empty() || !logprobs.empty()) {
      chunks.push_back(chunk(update.choice, std::move(delta), nullptr, std::move(logprobs)));
    }
    if (last) {
      choice.is_absent = update.outcome->is_absent;
      choice.finish_reason = take(*update.outcome, update.choice);
      if (!choice.calls.empty() && choice.last_call_is_whole && choice.finish_reason == "stop")
        choice.finish_reason = "tool_calls";
      chunks.push_back(chunk(update.choice, Json::object(), choice.finish_reason, Json::array()));
    }
    return chunks;
  }

  Json whole() override {
    Json choices = Json::array();
    for (int i = 0; i < options_.choices; ++i) {
      Choice& choice = choices_[i];
      if (choice.is_absent) continue;
      Json message = {{"role", "assistant"}, {"content", choice.content}, {"refusal", nullptr}};
      if (!choice.reasoning.empty()) message["reasoning_content"] = choice.reasoning;
      if (!choice.calls.empty()) {
        if (choice.content.empty()) message["content"] = nullptr;
        message["tool_calls"] = std::move(choice.calls);
      }
      choices.push_back({{"index", i},
                         {"message", std::move(message)},
                         {"logprobs", wrapped(std::move(choice.logprobs))},
                         {"finish_reason", choice.finish_reason}});
    }
    return object_of(std::move(choices));
  }

 private:
  struct Choice {
    std::string content, reasoning, finish_reason;
    Json calls = Json::array(), logprobs = Json::array();
    bool last_call_is_whole = true;
    bool is_absent = false;
    std::optional<ToolCallParser> parser;
  };

  static ToolCallParser::Output read(Choice& choice, Update& update) {
    if (!choice.parser) return {.content = std::move(update.text)};
    ToolCallParser::Output output = choice.parser->push(update.text);
    if (update.outcome) {
      ToolCallParser::Output rest = choice.parser->finish(update.outcome->is_cut);
      output.content += rest.content;
      output.reasoning += rest.reasoning;
      for (ToolCall& call : rest.calls) output.calls.push_back(std::move(call));
    }
    return output;
  }

  static Json to_json(const ToolCall& call) {
    return {{"id", new_identifier("call_")},
            {"type", "function"},
            {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
  }

  Json logprobs_of(const Update& update) const {
    Json list = Json::array();
    for (const TokenLogprobs& entry : update.logprobs) {
      Json top = Json::array();
      for (const auto& [token, logprob] : entry.top) top.push_back(logprob_of(token, logprob));
      Json json = logprob_of(entry.token, entry.logprob);
      json["top_logprobs"] = std::move(top);
      list.push_back(std::move(json));
    }
    return list;
  }
  Json logprob_of(Token token, float logprob) const {
    return {{"token", shown(tokenizer_, token)},
            {"logprob", finite(logprob)},
            {"bytes", bytes_of(tokenizer_, token)}};
  }
  Json wrapped(Json logprobs) const {
    if (!options_.logprobs) return nullptr;
    return {{"content", std::move(logprobs)}, {"refusal", nullptr}};
  }

  Json chunk(int index, Json delta, Json finish_reason, Json logprobs) const {
    return chunk_of({{"index", index},
                     {"delta", std::move(delta)},
                     {"logprobs", logprobs.empty() ? Json() : wrapped(std::move(logprobs))},
                     {"finish_reason", std::move(finish_reason)}});
  }

  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<Answers> make_chat_answers(const Tokenizer& tokenizer, AnswersOptions options) {
  return std::make_unique<ChatAnswers>(tokenizer, std::move(options));
}

}  // namespace tessera::serve
