// What the fields of a request do to its answer, over sockets, with a tiny model behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "serve/server_support.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kCompletions = "/v1/completions", kChat = "/v1/chat/completions";

// Drawn from the model's own distribution.
Json completion(const Json& fields) {
  Json body = {{"prompt", "abc"}, {"max_tokens", 24}, {"seed", 5}, {"temperature", 1},
               {"top_k", 0},      {"top_p", 1},       {"min_p", 0}};
  body.update(fields);
  return body;
}

Json chat(const Json& fields) {
  Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
               {"max_tokens", 24},
               {"seed", 5}};
  body.update(fields);
  return body;
}

std::vector<Token> tokens_of(const Fixture& fixture, const Json& body) {
  return fixture.json("/tokenize", body.dump())["tokens"];
}

TEST(Generation, StopTokensEndAnAnswerAndAreNoPartOfIt) {
  const Fixture fixture;
  Json body = completion({{"ignore_eos", true}, {"logprobs", 0}});
  const Json whole = fixture.json(kCompletions, body.dump())["choices"][0];
  const std::string third = whole["logprobs"]["tokens"][2];
  const auto ids = tokens_of(fixture, {{"prompt", third}, {"add_special_tokens", false}});
  ASSERT_EQ(ids.size(), 1u);
  body["stop_token_ids"] = ids;
  for (const char* decoder : {"plain", "lookup", "auto"}) {
    body["decoder"] = decoder;
    const Json answer = fixture.json(kCompletions, body.dump());
    const Json stopped = answer["choices"][0];
    EXPECT_EQ(stopped["finish_reason"], "stop");
    const std::string text = stopped["text"];
    EXPECT_THAT(whole["text"].get<std::string>(), testing::StartsWith(text));
    EXPECT_THAT(text, Not(HasSubstr(third)));
    const size_t shown = stopped["logprobs"]["tokens"].size();
    EXPECT_LE(shown, 2u);
    EXPECT_EQ(answer["usage"]["completion_tokens"], shown + 1);
  }
  body["stop_token_ids"] = {9'999'999};
  EXPECT_EQ(fixture.post(kCompletions, body.dump())->status, 400);
}

TEST(Generation, APredictionIsFollowedCountedAndChangesNothing) {
  const Fixture fixture;
  Json body =
      completion({{"ignore_eos", true}, {"max_tokens", 40}, {"temperature", 1}, {"seed", 5}});
  const Json plain = fixture.json(kCompletions, body.dump());
  EXPECT_FALSE(plain["usage"].contains("completion_tokens_details"));
  const std::string text = plain["choices"][0]["text"];
  for (const char* decoder : {"plain", "prediction", "auto"}) {
    body["decoder"] = decoder;
    body["prediction"] = {{"type", "content"}, {"content", text}};
    const Json right = fixture.json(kCompletions, body.dump());
    EXPECT_EQ(right["choices"], plain["choices"]);
    // The text may be spelled in other tokens than it was generated in.
    const Json details = right["usage"]["completion_tokens_details"];
    EXPECT_GE(details["accepted_prediction_tokens"], 1);
    body["prediction"]["content"] = Json::array({{{"type", "text"}, {"text", "Something else"}}});
    const Json wrong = fixture.json(kCompletions, body.dump());
    EXPECT_EQ(wrong["choices"], plain["choices"]);
    EXPECT_GE(wrong["usage"]["completion_tokens_details"]["rejected_prediction_tokens"], 1);
  }
}

TEST(Generation, AnAnswerHasItsLeastTokens) {
  const Fixture fixture;
  Json body = completion({{"grammar", "root ::= [a-z]*"}, {"temperature", 3}});
  for (int seed = 0; seed < 4; ++seed) {
    body["seed"] = seed;
    for (const int least : {1, 7, 20}) {
      body["min_tokens"] = least;
      const Json answer = fixture.json(kCompletions, body.dump());
      EXPECT_GE(answer["usage"]["completion_tokens"], least);
      body["decoder"] = "lookup";
      EXPECT_EQ(fixture.json(kCompletions, body.dump())["choices"], answer["choices"]);
      body.erase("decoder");
    }
  }
  // A form that is complete is not gone beyond.
  EXPECT_EQ(
      fixture.json(kCompletions, completion({{"grammar", "root ::= \"yes\""}, {"min_tokens", 20}})
                                     .dump())["choices"][0]["text"],
      "yes");
  // No stop text counts before.
  body = completion({{"grammar", "root ::= [ab]*"}, {"min_tokens", 12}, {"stop", {"a", "b"}}});
  EXPECT_EQ(fixture.json(kCompletions, body.dump())["usage"]["completion_tokens"], 13);
  EXPECT_EQ(fixture.post(kCompletions, completion({{"min_tokens", 25}}).dump())->status, 400);
}

TEST(Generation, BadWordsDoNotCome) {
  const Fixture fixture;
  const Json body = completion({{"grammar", "root ::= (\"ab\" | \"cd\"){4}"}, {"max_tokens", 60}});
  const std::string free = fixture.json(kCompletions, body.dump())["choices"][0]["text"];
  for (const std::string word : {"ab", "cd"}) {
    Json banned = body;
    banned["bad_words"] = {word.substr(0, 1)};
    const std::string text = fixture.json(kCompletions, banned.dump())["choices"][0]["text"];
    EXPECT_EQ(text.size(), free.size()) << text;
  }
  const Json plain = completion({{"ignore_eos", true}, {"temperature", 0}, {"logprobs", 0}});
  const Json answer = fixture.json(kCompletions, plain.dump())["choices"][0];
  const std::string first = answer["logprobs"]["tokens"][0];
  Json banned = plain;
  banned["bad_words"] = {first};
  EXPECT_NE(fixture.json(kCompletions, banned.dump())["choices"][0]["logprobs"]["tokens"][0],
            first);
}

TEST(Generation, AFormMayHaveAnyOfItsNames) {
  const Fixture fixture;
  const Json schema = {{"enum", {"red", 7}}};
  for (const Json& form :
       {Json{{"response_format", {{"type", "json_object"}, {"schema", schema}}}},
        Json{{"json_schema", schema}},
        Json{{"response_format",
              {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}}}}}) {
    const Json answer = fixture.json(kChat, chat(form).dump())["choices"][0];
    EXPECT_THAT(answer["message"]["content"].get<std::string>(), testing::AnyOf("\"red\"", "7"));
  }
  const auto refused = fixture.post(kChat, chat({{"json_schema", {{"type", "thing"}}}}).dump());
  EXPECT_EQ(Json::parse(refused->body)["error"]["param"], "json_schema");
}

TEST(Generation, AConversationBecomesAPromptAsAsked) {
  const Fixture fixture;
  const auto text_of = [&](const Json& fields) {
    return fixture
        .json("/detokenize", Json{{"tokens", tokens_of(fixture, fields)}}.dump())["prompt"]
        .get<std::string>();
  };
  const Json messages =
      Json::parse(R"([{"role":"user","content":"a"},{"role":"assistant","content":"One, two, "}])");
  Json body = {{"messages", messages}};
  const std::string answered = text_of(body);
  body["add_generation_prompt"] = false;
  const std::string closed = text_of(body);
  EXPECT_GT(answered.size(), closed.size());
  EXPECT_THAT(answered, testing::StartsWith(closed));
  body["continue_final_message"] = true;
  const std::string open = text_of(body);
  EXPECT_THAT(open, testing::EndsWith("One, two, "));
  EXPECT_THAT(closed, testing::StartsWith(open));

  body = {{"messages", messages}, {"chat_template", "{{ messages[0].content }}-{{ word }}"}};
  body["chat_template_kwargs"] = {{"word", "w"}};
  EXPECT_THAT(text_of(body), testing::EndsWith("a-w"));
  body["chat_template"] = "{{";
  EXPECT_THAT(fixture.post("/tokenize", body.dump())->body, HasSubstr("\"chat_template\""));
  body["chat_template"] = "nothing of them";
  body["continue_final_message"] = true;
  EXPECT_THAT(fixture.post("/tokenize", body.dump())->body,
              HasSubstr("does not show the last message"));
}

TEST(Generation, APromptIsCutToItsLastTokens) {
  const Fixture fixture;
  const std::string prompt(6000, 'x');  // more than the context holds
  const auto prompt_tokens = [&](const std::string& path, Json body, int last) {
    body["truncate_prompt_tokens"] = last;
    return fixture.json(path, body.dump())["usage"]["prompt_tokens"].get<int>();
  };
  EXPECT_EQ(prompt_tokens(kCompletions, completion({{"prompt", prompt}}), 9), 9);
  EXPECT_EQ(prompt_tokens(kCompletions, completion({{"prompt", prompt}}), -1), 4096 - 24);
  EXPECT_EQ(prompt_tokens(kChat, chat(Json::object()), 5), 5);
  const Json message = {{"role", "user"}, {"content", std::string(60'000, 'x')}};
  EXPECT_EQ(prompt_tokens(kChat, chat({{"messages", Json::array({message})}}), 5), 5);
  EXPECT_EQ(prompt_tokens("/v1/embeddings", Json{{"input", prompt}}, 3), 3);
  Json body = completion({{"prompt", "abcdefgh"}, {"echo", true}, {"truncate_prompt_tokens", 2}});
  EXPECT_THAT(fixture.json(kCompletions, body.dump())["choices"][0]["text"].get<std::string>(),
              Not(HasSubstr("abc")));
}

// More than may wait: they are taken a few at a time.
TEST(Generation, ManyTextsAreEmbeddedAtOnce) {
  const Fixture fixture;
  const Json body = {{"input", std::vector<std::string>(kMaxInputs, "a b")}};
  const Json answer = fixture.json("/v1/embeddings", body.dump());
  ASSERT_EQ(answer["data"].size(), 2048u);
  EXPECT_EQ(answer["data"][2047]["embedding"], answer["data"][0]["embedding"]);
}

TEST(Generation, SeedMinusOneIsAnotherTextEachTime) {
  const Fixture fixture;
  const auto answer = [&](int seed) {
    const Json body = completion({{"seed", seed}, {"temperature", 3}, {"ignore_eos", true}});
    return fixture.json(kCompletions, body.dump())["choices"][0]["text"].get<std::string>();
  };
  EXPECT_NE(answer(-1), answer(-1));
  EXPECT_EQ(answer(-2), answer(-2));
}

// Offsets count characters, and what is a part of one is spelled as bytes.
TEST(Generation, OffsetsCountCharacters) {
  const Fixture fixture;
  const std::string prompt = "é日 a😀b";
  const std::vector<size_t> starts = {0, 2, 5, 6, 7, 11};  // of its characters, in bytes
  const Json body = completion(
      {{"prompt", prompt}, {"echo", true}, {"logprobs", 0}, {"ignore_eos", true}, {"seed", 1}});
  const Json answer = fixture.json(kCompletions, body.dump())["choices"][0];
  const Json& logprobs = answer["logprobs"];
  const auto ids = tokens_of(fixture, {{"prompt", prompt}});
  size_t at = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string token = logprobs["tokens"][i];
    std::string bytes = token;
    if (token.starts_with("bytes:")) {
      bytes.clear();
      for (size_t j = 6; j < token.size(); j += 4) {
        ASSERT_EQ(token.substr(j, 2), "\\x");
        bytes += static_cast<char>(std::stoi(token.substr(j + 2, 2), nullptr, 16));
      }
    }
    if (!prompt.substr(at).starts_with(bytes)) continue;  // it begins the text for the model only
    const auto character = std::ranges::upper_bound(starts, at) - starts.begin() - 1;
    EXPECT_EQ(logprobs["text_offset"][i], character) << i;
    at += bytes.size();
  }
  EXPECT_EQ(at, prompt.size());
  EXPECT_EQ(logprobs["text_offset"][ids.size()], starts.size());
  // Behind it, each offset is that of the characters which the text has by then.
  std::string text = answer["text"];
  size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  int64_t before = 0;
  for (const Json& offset : logprobs["text_offset"]) {
    EXPECT_GE(offset.get<int64_t>(), before);
    before = offset;
  }
  EXPECT_LE(before, static_cast<int64_t>(characters));
}

TEST(Generation, SeveralAnswersComputeTheirPromptOnce) {
  const Fixture fixture;
  const Json alone =
      fixture.json(kCompletions, completion({{"n", 1}, {"prompt", std::string(300, 'p')}}).dump());
  const auto computed = [&] {
    const std::string metrics = fixture.client().Get("/metrics")->body;
    const auto value = [&](const std::string& name) {
      const size_t line = metrics.find("\n" + name + "{");
      EXPECT_NE(line, std::string::npos) << name;
      return std::stod(metrics.substr(metrics.find('}', line) + 1));
    };
    return value("vllm:prefix_cache_queries_total") - value("vllm:prefix_cache_hits_total");
  };
  const double before = computed();
  const Json several =
      fixture.json(kCompletions, completion({{"n", 6}, {"prompt", std::string(300, 'q')}}).dump());
  EXPECT_EQ(several["choices"].size(), 6u);
  EXPECT_EQ(several["usage"]["prompt_tokens"], alone["usage"]["prompt_tokens"]);
  // Each of them reads the last token itself, to have its logits.
  EXPECT_LE(computed() - before, several["usage"]["prompt_tokens"].get<double>() + 6);
}

// --- tools

Json tools_and(const Json& fields) {
  Json body = chat(fields);
  body["tools"] = Json::parse(R"([{"type": "function", "function": {"name": "paint", "parameters":
    {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}, "size": {"enum": [1, 2]}},
     "required": ["colour", "size"]}}}])");
  return body;
}

TEST(Generation, AToolMayBeCalledBesideAForm) {
  const Fixture fixture;
  const Json format = {{"type", "json_object"}, {"schema", {{"enum", {"plain"}}}}};
  Json body = tools_and({{"response_format", format}, {"max_tokens", 400}, {"temperature", 2}});
  int calls = 0, texts = 0;
  for (int seed = 0; seed < 12; ++seed) {
    body["seed"] = seed;
    const Json answer = fixture.json(kChat, body.dump())["choices"][0];
    if (answer["message"].contains("tool_calls")) {
      EXPECT_EQ(answer["finish_reason"], "tool_calls");
      ++calls;
    } else {
      EXPECT_EQ(answer["message"]["content"], "\"plain\"");
      ++texts;
    }
  }
  EXPECT_GT(calls, 0);
  EXPECT_GT(texts, 0);
  body["tool_choice"] = "none";
  EXPECT_EQ(fixture.json(kChat, body.dump())["choices"][0]["message"]["content"], "\"plain\"");
  body["tool_choice"] = "required";
  const Json called = fixture.json(kChat, body.dump())["choices"][0];
  EXPECT_EQ(called["message"]["tool_calls"][0]["function"]["name"], "paint");
}

// The answer is a call from its first character: none of it may be content, wherever it is cut.
TEST(Generation, ACallThatIsCutLeavesNoMarkup) {
  const Fixture fixture;
  Json body = tools_and({{"tool_choice", "required"}, {"parallel_tool_calls", false}});
  body["max_tokens"] = 400;
  const Json whole = fixture.json(kChat, body.dump());
  ASSERT_EQ(whole["choices"][0]["finish_reason"], "tool_calls");
  const int length = whole["usage"]["completion_tokens"];
  const auto check = [&](const std::string& reason) {
    body["stream"] = false;
    const Json answer = fixture.json(kChat, body.dump())["choices"][0];
    EXPECT_EQ(answer["finish_reason"], reason) << answer.dump();
    const Json& content = answer["message"]["content"];
    EXPECT_TRUE(content.is_null() || content == "") << answer.dump();
    std::string called, streamed, last;
    for (const Json& call : answer["message"].value("tool_calls", Json::array()))
      called += call["function"].dump();
    body["stream"] = true;
    for (const Json& event : events_of(fixture.post(kChat, body.dump())->body)) {
      const Json& choice = event["choices"][0];
      EXPECT_EQ(choice["delta"].value("content", ""), "");
      for (const Json& call : choice["delta"].value("tool_calls", Json::array()))
        streamed += call["function"].dump();
      if (!choice["finish_reason"].is_null()) last = choice["finish_reason"];
    }
    EXPECT_EQ(streamed, called);
    EXPECT_EQ(last, reason);
    return called;
  };
  for (int most = 1; most < length; ++most) {
    body["max_tokens"] = most;
    check("length");
  }
  EXPECT_THAT(check("length"), HasSubstr("paint"));
  body["max_tokens"] = 400;
  for (const char* stop : {"_call>", "\"na", "paint", "arguments", "colour", "size\":"}) {
    body["stop"] = stop;
    check("stop");
  }
  body["stop"] = "</tool_call>";
  EXPECT_THAT(check("tool_calls"), HasSubstr("size"));
}

// The best first; beside others' answers the same.
TEST(Generation, ABeamSearchGivesItsBestAnswers) {
  const Fixture fixture;
  const Json body = {{"prompt", "abc"}, {"max_tokens", 12}, {"use_beam_search", true},
                     {"best_of", 5},    {"n", 3},           {"logprobs", 1}};
  const Json answer = fixture.json(kCompletions, body.dump());
  const Json& choices = answer["choices"];
  ASSERT_EQ(choices.size(), 3u);
  double before = 0;
  int tokens = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    EXPECT_EQ(choices[i]["index"], i);
    double sum = 0;
    for (const double logprob : choices[i]["logprobs"]["token_logprobs"]) sum += logprob;
    const auto length = static_cast<int>(choices[i]["logprobs"]["tokens"].size());
    if (choices[i]["finish_reason"] == "length") {  // else the end, which is not shown, counts
      EXPECT_LE(sum / length, before + 1e-4);
      before = sum / length;
    }
    tokens += length;
  }
  EXPECT_GE(answer["usage"]["completion_tokens"], tokens);
  EXPECT_EQ(fixture.json(kCompletions, body.dump())["choices"], choices);

  Json one = body;
  one["n"] = 1;
  EXPECT_EQ(fixture.json(kCompletions, one.dump())["choices"][0], choices[0]);
  const Json in_chat = fixture.json(kChat, chat({{"num_beams", 3}, {"n", 2}}).dump());
  EXPECT_EQ(in_chat["choices"].size(), 2u);
  const Json prompts = fixture.json(
      kCompletions, Json({{"prompt", {"abc", "xyz"}}, {"num_beams", 2}, {"n", 2}}).dump());
  EXPECT_EQ(prompts["choices"].size(), 4u);
  EXPECT_TRUE(fixture.becomes_idle());
}

TEST(Generation, ABeamSearchFindsNoMoreThanAFormHas) {
  const Fixture fixture;
  const Json body = {{"prompt", "abc"},
                     {"max_tokens", 12},
                     {"num_beams", 4},
                     {"n", 4},
                     {"grammar", "root ::= \"yes\" | \"no\""}};
  const Json choices = fixture.json(kCompletions, body.dump())["choices"];
  std::set<std::string> texts;
  for (const Json& choice : choices) texts.insert(choice["text"].get<std::string>());
  EXPECT_EQ(texts, (std::set<std::string>{"yes", "no"}));
  const auto refused = fixture.post(
      kCompletions, Json({{"prompt", "a"}, {"num_beams", 2}, {"max_tokens", 0}}).dump());
  EXPECT_EQ(refused->status, 400);
  EXPECT_THAT(refused->body, HasSubstr("at least one token"));
}

}  // namespace
}  // namespace tessera::serve
