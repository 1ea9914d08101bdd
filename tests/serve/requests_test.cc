#include "serve/api/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

const std::string kMessages = R"("messages":[{"role":"user","content":"hi"}])";

ChatRequest chat(const std::string& members) {
  return parse_chat_request("{" + kMessages + (members.empty() ? "" : ",") + members + "}");
}

template <typename Parse>
ApiError error_of(Parse parse) {
  try {
    parse();
  } catch (const ApiError& error) {
    return error;
  }
  ADD_FAILURE() << "it was accepted";
  return {0, "", ""};
}

TEST(Requests, DefaultsAreThoseOfOpenAI) {
  const ChatRequest request = chat("");
  const GenerationParameters& p = request.parameters;
  EXPECT_EQ(p.generate.max_tokens, -1);
  EXPECT_EQ(p.n, 1);
  EXPECT_FALSE(p.stream);
  EXPECT_FALSE(p.has_seed);
  EXPECT_EQ(p.top_logprobs, -1);
  EXPECT_EQ(p.generate.sampling.temperature, 1.0f);
  EXPECT_EQ(p.generate.sampling.top_k, 0);
  EXPECT_EQ(p.generate.sampling.top_p, 1.0f);
  EXPECT_EQ(p.generate.sampling.min_p, 0.0f);
  EXPECT_EQ(request.tool_choice, ToolChoice::kNone);
}

TEST(Requests, EveryFieldArrives) {
  const GenerationParameters p =
      chat(R"("max_tokens":5,"max_completion_tokens":7,"n":3,"stream":true,
              "stream_options":{"include_usage":true},"stop":["a","b"],"seed":-1,"temperature":0.5,
              "top_p":0.25,"top_k":9,"min_p":0.125,"presence_penalty":1,"frequency_penalty":-2,
              "repetition_penalty":1.5,"logit_bias":{"17":-100},"logprobs":true,"top_logprobs":4,
              "priority":-3,"cache_salt":"s","ignore_eos":true,"decoder":"lookup","user":"u")")
          .parameters;
  EXPECT_EQ(p.generate.max_tokens, 7);
  EXPECT_EQ(p.n, 3);
  EXPECT_TRUE(p.stream && p.include_usage && p.has_seed && p.generate.ignore_eos);
  EXPECT_EQ(p.generate.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(p.generate.sampling.seed, ~uint64_t{0});
  EXPECT_EQ(p.generate.sampling.temperature, 0.5f);
  EXPECT_EQ(p.generate.sampling.top_p, 0.25f);
  EXPECT_EQ(p.generate.sampling.top_k, 9);
  EXPECT_EQ(p.generate.sampling.min_p, 0.125f);
  EXPECT_EQ(p.generate.sampling.presence_penalty, 1.0f);
  EXPECT_EQ(p.generate.sampling.frequency_penalty, -2.0f);
  EXPECT_EQ(p.generate.sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(p.generate.sampling.logit_bias.at(17), -100.0f);
  EXPECT_EQ(p.top_logprobs, 4);
  EXPECT_EQ(p.priority, -3);
  EXPECT_EQ(p.cache_salt, "s");
  EXPECT_EQ(p.generate.decoder, "lookup");
}

TEST(Requests, WhatIsWrongIsNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("temperature":"hot")", "temperature"},
      {R"("temperature":-1)", "temperature"},
      {R"("top_p":2)", "top_p"},
      {R"("top_k":1.5)", "top_k"},
      {R"("top_k":1e30)", "top_k"},
      {R"("n":0)", "n"},
      {R"("n":100000)", "n"},
      {R"("n":"1")", "n"},
      {R"("max_tokens":-5)", "max_tokens"},
      {R"("max_tokens":99999999999999999999)", "max_tokens"},
      {R"("stream":1)", "stream"},
      {R"("stream_options":{"include_usage":true})", "stream_options"},
      {R"("stream":true,"stream_options":[])", "stream_options"},
      {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
      {R"("stop":1)", "stop"},
      {R"("stop":[""])", "stop"},
      {R"("stop":["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])", "stop"},
      {R"("seed":"x")", "seed"},
      {R"("logit_bias":[1])", "logit_bias"},
      {R"("logit_bias":{"x":1})", "logit_bias"},
      {R"("logit_bias":{"-1":1})", "logit_bias"},
      {R"("logit_bias":{"1":101})", "logit_bias"},
      {R"("logit_bias":{"1":"a"})", "logit_bias"},
      {R"("top_logprobs":3)", "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
      {R"("logprobs":3)", "logprobs"},
      {R"("priority":1001)", "priority"},
      {R"("tools":{})", "tools"},
      {R"("tools":[{"type":"magic"}])", "tools"},
      {R"("tools":[{"type":"function"}])", "tools.function"},
      {R"("tools":[{"type":"function","function":{"name":"f","parameters":7}}])",
       "tools.function.parameters"},
      {R"("tool_choice":"required")", "tool_choice"},
      {R"("tool_choice":"maybe")", "tool_choice"},
      {R"("tool_choice":7)", "tool_choice"},
      {R"("suffix":"x")", "suffix"},
      {R"("functions":[])", "functions"},
  };
  for (const auto& [members, param] : cases) {
    const ApiError error = error_of([&, &text = members] { chat(text); });
    EXPECT_EQ(error.status, 400) << members;
    EXPECT_EQ(error.type, "invalid_request_error") << members;
    EXPECT_EQ(error.param, param) << members << ": " << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

TEST(Requests, MessagesAreChecked) {
  for (const char* body :
       {"{}", R"({"messages":[]})", R"({"messages":"hi"})", R"({"messages":[1]})",
        R"({"messages":[{"content":"x"}]})", R"({"messages":[{"role":"user"}]})",
        R"({"messages":[{"role":"king","content":"x"}]})",
        R"({"messages":[{"role":"user","content":7}]})",
        R"({"messages":[{"role":"user","content":[7]}]})",
        R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
        R"({"messages":[{"role":"assistant","tool_calls":[7]}]})",
        R"({"messages":[{"role":"assistant","tool_calls":{"a":1}}]})"}) {
    EXPECT_EQ(error_of([&] { parse_chat_request(body); }).status, 400) << body;
  }
  const ChatRequest request = parse_chat_request(R"({"messages":[
      {"role":"developer","content":"a"},
      {"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]},
      {"role":"assistant","content":null,"tool_calls":[
          {"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},
      {"role":"tool","tool_call_id":"1","content":"d"}]})");
  ASSERT_EQ(request.messages.size(), 4u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "bc");
  EXPECT_EQ(request.messages[2].extra["tool_calls"][0]["function"]["arguments"]["x"], 1);
  EXPECT_EQ(request.messages[3].extra["tool_call_id"], "1");
}

TEST(Requests, HostileJsonIsRefused) {
  const std::string deep(100000, '[');
  std::string many = R"({"messages":[)";
  for (int i = 0; i < kMaxJsonValues; ++i) many += "1,";
  many += "1]}";
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), deep,
        "{\"a\":" + deep, many, std::string("{\"a\":1e999}"), std::string("{\"a\":\"\xff\"}"),
        std::string("{\"a\":1}x"), std::string("\0\0", 2)}) {
    EXPECT_EQ(error_of([&] { parse_chat_request(body); }).status, 400) << body.substr(0, 40);
  }
}

// Members of an ordered object are looked up one by one: a wide one takes quadratic time.
TEST(Requests, AWideObjectIsRefusedWhereverItIs) {
  const auto wide = [](int members, const std::string& other) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) text += fmt::format("\"m{}\":{},", i, other);
    return text + "\"last\":0}";
  };
  EXPECT_TRUE(parse_object(wide(kMaxJsonMembers - 1, R"({"a":{"b":[{}]}})")).is_object());
  for (const std::string& text :
       {wide(kMaxJsonMembers, "0"), fmt::format(R"({{"a":[{{"b":{}}}]}})", wide(100'000, "{}"))}) {
    EXPECT_THAT(error_of([&] { parse_object(text); }).what(), HasSubstr("more than 2000 members"));
  }
  // Each object counts for itself.
  EXPECT_TRUE(parse_object(wide(10, wide(1000, wide(10, "0")))).is_object());
}

TEST(Requests, CompletionsTakePromptsOfAllKinds) {
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a"})").prompts.size(), 1u);
  EXPECT_EQ(parse_completion_request(R"({"prompt":["a","b"]})").prompts.size(), 2u);
  EXPECT_EQ(parse_completion_request(R"({"prompt":[1,2,3]})").prompts.size(), 1u);
  EXPECT_EQ(parse_completion_request(R"({"prompt":[[1],[2]]})").prompts.size(), 2u);
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a"})").parameters.generate.max_tokens, 16);
  EXPECT_EQ(parse_completion_request(R"({"prompt":"a","logprobs":2})").parameters.top_logprobs, 2);
  EXPECT_TRUE(parse_completion_request(R"({"prompt":"a","echo":true,"logprobs":0})")
                  .parameters.prompt_logprobs);
  EXPECT_FALSE(
      parse_completion_request(R"({"prompt":"a","echo":true})").parameters.prompt_logprobs);
  for (const char* body :
       {"{}", R"({"prompt":[]})", R"({"prompt":[1,"a"]})", R"({"prompt":[-1]})",
        R"({"prompt":[1.5]})", R"({"prompt":[99999999999]})", R"({"prompt":{"a":1}})",
        R"({"prompt":"a","echo":true,"logprobs":21})", R"({"prompt":"a","best_of":3})",
        R"({"prompt":["a","b"],"n":100})", R"({"prompt":"a","suffix":"b"})"}) {
    EXPECT_EQ(error_of([&] { parse_completion_request(body); }).status, 400) << body;
  }
  EXPECT_THAT(error_of([&] { parse_completion_request(R"({"prompt":"a","suffix":"b"})"); }).what(),
              HasSubstr("suffix"));
}

TEST(Requests, EmbeddingsAndTokens) {
  EXPECT_EQ(parse_embedding_request(R"({"input":"a"})").pooling, Pooling::kMean);
  EXPECT_TRUE(parse_embedding_request(R"({"input":"a","encoding_format":"base64"})").base64);
  for (const char* body :
       {"{}", R"({"input":"a","dimensions":3})", R"({"input":"a","encoding_format":"hex"})",
        R"({"input":"a","pooling":"max"})"}) {
    EXPECT_EQ(error_of([&] { parse_embedding_request(body); }).status, 400) << body;
  }
  EXPECT_EQ(parse_tokenize_request(R"({"prompt":"a"})").text, "a");
  EXPECT_EQ(parse_tokenize_request(R"({"content":"a"})").text, "a");
  EXPECT_EQ(parse_detokenize_request(R"({"tokens":[1,2]})").tokens.size(), 2u);
  EXPECT_EQ(error_of([] { parse_detokenize_request(R"({"tokens":["a"]})"); }).status, 400);
  EXPECT_EQ(error_of([] { parse_tokenize_request("{}"); }).status, 400);
}

}  // namespace
}  // namespace tessera::serve
