#include "serve/api/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "paths.h"
#include "serve/api/field_table.h"
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

// One rule for the library, the command line, the server and its page.
TEST(Requests, ASaltHasABoundWhereverItIsGiven) {
  const std::string salt = R"("cache_salt":")" + std::string(257, 's') + '"';
  EXPECT_EQ(error_of([&] { chat(salt); }).param, "cache_salt");
  EXPECT_EQ(error_of([&] { parse_embedding_request(R"({"input":"a",)" + salt + "}"); }).param,
            "cache_salt");
}

TEST(Requests, DefaultsAreThoseOfTheLibrary) {
  const ChatRequest request = chat("");
  const GenerationParameters& p = request.parameters;
  EXPECT_EQ(p.generate.max_tokens, -1);
  EXPECT_EQ(p.n, 1);
  EXPECT_FALSE(p.stream);
  EXPECT_EQ(p.top_logprobs, -1);
  const SamplingOptions library;
  EXPECT_EQ(p.generate.sampling.seed, std::nullopt);
  EXPECT_EQ(p.generate.sampling.temperature, library.temperature);
  EXPECT_EQ(p.generate.sampling.top_k, library.top_k);
  EXPECT_EQ(p.generate.sampling.top_p, library.top_p);
  EXPECT_EQ(p.generate.sampling.min_p, library.min_p);
  EXPECT_EQ(chat(R"("seed":-1)").parameters.generate.sampling.seed, std::nullopt);
  EXPECT_EQ(request.tool_choice, ToolChoice::kNone);
}

TEST(Requests, EveryFieldArrives) {
  const GenerationParameters p =
      chat(R"("max_tokens":5,"max_completion_tokens":7,"n":3,"stream":true,
              "stream_options":{"include_usage":true},"stop":["a","b"],"seed":-2,"temperature":0.5,
              "top_p":0.25,"top_k":9,"min_p":0.125,"presence_penalty":1,"frequency_penalty":-2,
              "repetition_penalty":1.5,"logit_bias":{"17":-100},"logprobs":true,"top_logprobs":4,
              "priority":-3,"cache_salt":"s","ignore_eos":true,"decoder":"lookup","user":"u")")
          .parameters;
  EXPECT_EQ(p.generate.max_tokens, 7);
  EXPECT_EQ(p.n, 3);
  EXPECT_TRUE(p.stream && p.include_usage && p.generate.ignore_eos);
  EXPECT_EQ(p.generate.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(p.generate.sampling.seed, ~uint64_t{1});
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
      // A field that would change the answer is not passed over.
      {R"("typical_p":0.9)", "typical_p"},
      {R"("mirostat":2)", "mirostat"},
      {R"("xtc_probability":0.5)", "xtc_probability"},
      {R"("dry_multiplier":0.8)", "dry_multiplier"},
      {R"("top_n_sigma":1)", "top_n_sigma"},
      {R"("dynatemp_range":0.1)", "dynatemp_range"},
      {R"("min_keep":3)", "min_keep"},
      {R"("samplers":["top_k"])", "samplers"},
      {R"("lora":[{"id":0}])", "lora.scale"},
      {R"("lora":[{"scale":1}])", "lora"},
      {R"("lora":[{"id":"x","scale":1}])", "lora.id"},
      {R"("lora":7)", "lora"},
      {R"("skip_special_tokens":false)", "skip_special_tokens"},
      {R"("format":"json")", "format"},
      {R"("options":{"num_predict":3})", "options"},
      {R"("guided_json":{})", "guided_json"},
      {R"("structured_outputs":{})", "structured_outputs"},
      {R"("reasoning_effort":"high")", "reasoning_effort"},
      {R"("modalities":["audio"])", "modalities"},
      {R"("echo":true)", "echo"},
      {R"("prompt":"x")", "prompt"},
      {R"("temprature":1)", "temprature"},
      {R"("Temperature":1)", "Temperature"},
      {R"("response_format":{"type":"json_object","strict":true})", "response_format.strict"},
      {R"("stream":true,"stream_options":{"usage":true})", "stream_options.usage"},
  };
  for (const auto& [members, param] : cases) {
    const ApiError error = error_of([&, &text = members] { chat(text); });
    EXPECT_EQ(error.status, 400) << members;
    EXPECT_EQ(error.type, "invalid_request_error") << members;
    EXPECT_EQ(error.param, param) << members << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr("'" + param + "'"));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  }
}

// What OpenAI, vLLM and llama.cpp would heed, each under its own names.
TEST(Requests, NamesOfOtherServersAreHonoured) {
  EXPECT_EQ(chat(R"("n_predict":3)").parameters.generate.max_tokens, 3);
  EXPECT_EQ(chat(R"("n_predict":3,"max_tokens":4)").parameters.generate.max_tokens, 4);
  const GenerationParameters p =
      chat(R"("min_tokens":2,"stop_token_ids":[7,9],"bad_words":["no",""],"repeat_penalty":1.5,
              "add_special_tokens":false,"truncate_prompt_tokens":12)")
          .parameters;
  EXPECT_EQ(p.generate.min_tokens, 2);
  EXPECT_EQ(p.generate.stop_tokens, (std::vector<Token>{7, 9}));
  EXPECT_EQ(p.generate.bad_words, (std::vector<std::string>{"no"}));
  EXPECT_EQ(p.generate.sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(p.generate.sampling.penalty_window, 64);
  EXPECT_FALSE(p.prompt.add_special);
  EXPECT_EQ(p.prompt.last, 12);
  EXPECT_EQ(chat(R"("repetition_penalty":2)").parameters.generate.sampling.penalty_window, -1);
  EXPECT_EQ(chat(R"("repeat_last_n":5)").parameters.generate.sampling.penalty_window, 5);
}

TEST(Requests, FormsHaveSeveralNames) {
  const std::string schema = R"({"type":"array","items":{"type":"null"}})";
  for (const std::string& members :
       {R"("response_format":{"type":"json_object","schema":)" + schema + "}",
        R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":)" + schema +
            "}}",
        R"("json_schema":)" + schema}) {
    EXPECT_EQ(chat(members).parameters.generate.json_schema, schema) << members;
  }
  EXPECT_EQ(chat(R"("json_schema":{})").parameters.generate.json_schema, "{}");
  EXPECT_EQ(chat(R"("response_format":{"type":"json_object"})").parameters.generate.json_schema,
            R"({"type":"object"})");
  EXPECT_FALSE(chat(R"("grammar":"","response_format":{"type":"text"})").parameters.has_form());
}

TEST(Requests, AnAnswerMayGoOnWithTheLastMessage) {
  const std::string messages =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}])";
  const ChatRequest request = parse_chat_request(messages + R"(,"continue_final_message":true})");
  EXPECT_TRUE(request.continue_final_message);
  EXPECT_FALSE(request.add_generation_prompt);
  EXPECT_FALSE(chat(R"("add_generation_prompt":false)").add_generation_prompt);
  EXPECT_EQ(error_of([&] {
              parse_chat_request(messages +
                                 R"(,"continue_final_message":true,"add_generation_prompt":true})");
            }).param,
            "continue_final_message");
  EXPECT_EQ(error_of([] { chat(R"("continue_final_message":true)"); }).param,
            "continue_final_message");
}

TEST(Requests, FieldsThatAreNotKnownAreRefusedByName) {
  EXPECT_THAT(error_of([] { chat(R"("temprature":1)"); }).what(),
              HasSubstr("did you mean 'temperature'?"));
  EXPECT_THAT(error_of([] { chat(R"("max_token":1)"); }).what(),
              HasSubstr("did you mean 'max_tokens'?"));
  const std::vector<std::pair<std::string, void (*)()>> others = {
      {"suffixes", [] { parse_completion_request(R"({"prompt":"a","suffixes":1})"); }},
      {"messages", [] { parse_completion_request(R"({"prompt":"a","messages":[]})"); }},
      {"temperature", [] { parse_embedding_request(R"({"input":"a","temperature":1})"); }},
      {"input_type", [] { parse_embedding_request(R"({"input":"a","input_type":"query"})"); }},
      {"with_pieces", [] { parse_tokenize_request(R"({"prompt":"a","with_pieces":true})"); }},
      {"special", [] { parse_detokenize_request(R"({"tokens":[1],"special":true})"); }},
      {"messages[0].images",
       [] {
         parse_chat_request(R"({"messages":[{"role":"user","content":"a","images":["x"]}]})");
       }},
      {"messages[0].prefix",
       [] { parse_chat_request(R"({"messages":[{"role":"user","content":"a","prefix":true}]})"); }},
  };
  for (const auto& [param, parse] : others) EXPECT_EQ(error_of(parse).param, param);
}

TEST(Requests, FieldsThatChangeNothingAreTaken) {
  for (const char* members :
       {R"("typical_p":1)", R"("typical_p":1.0,"mirostat":0,"mirostat_tau":5,"mirostat_eta":0.1)",
        R"("xtc_probability":0.0,"xtc_threshold":0.1)",
        R"("dry_multiplier":0,"dry_base":1.75,"dry_sequence_breakers":["\n"])",
        R"("top_n_sigma":-1,"dynatemp_range":0,"dynatemp_exponent":1,"tfs_z":1,"min_keep":0)",
        R"("user":"u","metadata":{"a":"b"},"store":false,"service_tier":"auto",
           "safety_identifier":"x","prompt_cache_key":"k","request_id":"7","cache_prompt":true)",
        R"("skip_special_tokens":true,"use_beam_search":false,"include_stop_str_in_output":false)",
        R"("modalities":["text"])", R"("prediction":{"type":"content","content":"x"})",
        R"("prediction":{"type":"content","content":[{"type":"text","text":"x"}]})",
        R"("lora":[],"documents":[],"allowed_token_ids":null,"unheard_of":null)",
        R"("stream":true,"stream_options":{"include_obfuscation":false})"}) {
    EXPECT_NO_THROW(chat(members)) << members;
  }
  EXPECT_NO_THROW(parse_completion_request(R"({"prompt":"a","suffix":""})"));
  EXPECT_NO_THROW(parse_embedding_request(R"({"input":"a","user":"u","normalize":true})"));
  EXPECT_NO_THROW(parse_chat_request(
      R"({"messages":[{"role":"assistant","content":"a","refusal":null,"annotations":[],
          "audio":null,"function_call":null,"tool_calls":[]}]})"));
}

TEST(Requests, BeamSearchesGoByTheNamesOfVllmAndTransformers) {
  const auto completion = [](const std::string& members) {
    return parse_completion_request(R"({"prompt":"a",)" + members + "}").parameters;
  };
  for (const auto& [members, beams] : std::vector<std::pair<std::string, int>>{
           {R"("use_beam_search":true,"n":4)", 4},
           {R"("use_beam_search":true,"n":2,"best_of":4)", 4},
           {R"("use_beam_search":true,"n":2,"beam_width":5)", 5},
           {R"("use_beam_search":true,"num_beams":3)", 3},
           {R"("use_beam_search":true)", 1},
           {R"("num_beams":3)", 3},
           {R"("beam_width":3,"num_beams":3)", 3},
           {R"("num_beams":1)", 1},
           {R"("use_beam_search":false,"n":4)", 1}}) {
    EXPECT_EQ(completion(members).generate.beams, beams) << members;
  }
  const GenerateOptions options =
      completion(R"("num_beams":4,"length_penalty":0.5,"early_stopping":"never")").generate;
  EXPECT_EQ(options.length_penalty, 0.5);
  EXPECT_EQ(options.early_stopping, EarlyStopping::kNever);
  EXPECT_EQ(options.sampling.temperature, 0) << "nothing is drawn";
  EXPECT_EQ(completion(R"("num_beams":4,"early_stopping":true)").generate.early_stopping,
            EarlyStopping::kYes);
  EXPECT_EQ(completion(R"("num_beams":4)").generate.early_stopping, EarlyStopping::kNo);

  for (const auto& [members, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("num_beams":4,"stream":true)", "stream"},
           {R"("num_beams":4,"temperature":0.8)", "temperature"},
           {R"("num_beams":4,"decoder":"lookup")", "decoder"},
           {R"("num_beams":4,"n":5)", "n"},
           {R"("num_beams":4,"beam_width":5)", "beam_width"},
           {R"("num_beams":4,"use_beam_search":false)", "num_beams"},
           {R"("num_beams":1000)", "num_beams"},
           {R"("num_beams":0)", "num_beams"},
           {R"("num_beams":4,"early_stopping":"always")", "early_stopping"},
           {R"("num_beams":4,"length_penalty":"long")", "length_penalty"},
           {R"("length_penalty":2)", "length_penalty"},
           {R"("early_stopping":true)", "early_stopping"},
           {R"("n":2,"best_of":4)", "best_of"}}) {
    EXPECT_EQ(error_of([&, &text = members] { completion(text); }).param, param) << members;
  }
}

// Each field is described, and what is described is taken.
TEST(Requests, TheDocumentationListsTheFields) {
  std::ifstream file(std::filesystem::path(TESSERA_SOURCE_DIR) / "docs/serve.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const FieldTable* table : {&kChatFields, &kCompletionFields, &kEmbeddingFields,
                                  &kTokenizeFields, &kDetokenizeFields}) {
    for (const FieldTable::Entry& entry : table->entries()) {
      const auto speculative = entry.name.find("speculative.");
      const std::string name = speculative == 0 ? "speculative.*" : entry.name;
      if (entry.use == FieldUse::kRefused) continue;
      EXPECT_THAT(text, HasSubstr("`" + name + "`"));
    }
  }
}

TEST(Requests, WholeNumbersMayHaveAPoint) {
  const GenerationParameters p =
      chat(R"("max_tokens":5.0,"seed":1.0,"n":2e0,"top_k":40.0)").parameters;
  EXPECT_EQ(p.generate.max_tokens, 5);
  EXPECT_EQ(p.generate.sampling.seed, 1u);
  EXPECT_EQ(p.n, 2);
  EXPECT_EQ(p.generate.sampling.top_k, 40);
  const auto prompts = parse_completion_request(R"({"prompt":[1.0,2]})").prompts;
  EXPECT_EQ(std::get<std::vector<Token>>(prompts[0]), (std::vector<Token>{1, 2}));
  for (const char* members : {R"("max_tokens":5.5)", R"("n":1e300)", R"("seed":1e19)",
                              R"("seed":18446744073709551616)", R"("max_tokens":true)"}) {
    EXPECT_EQ(error_of([&] { chat(members); }).status, 400) << members;
  }
}

TEST(Requests, ThoughtsAreToldApartUnlessTheRequestSaysSo) {
  EXPECT_TRUE(chat("").tells_thoughts);
  EXPECT_TRUE(chat(R"("reasoning_format":"auto")").tells_thoughts);
  EXPECT_FALSE(chat(R"("reasoning_format":"none")").tells_thoughts);
  EXPECT_THAT(error_of([] { chat(R"("reasoning_format":"deepseek")"); }).what(),
              HasSubstr("'reasoning_format' is 'deepseek', expected auto or none"));
}

TEST(Requests, MinusOneAndEmptyTextsAskForNothing) {
  EXPECT_FALSE(chat(R"("seed":-1)").parameters.generate.sampling.seed.has_value());
  EXPECT_FALSE(chat(R"("seed":-1.0)").parameters.generate.sampling.seed.has_value());
  EXPECT_TRUE(chat(R"("seed":-7)").parameters.generate.sampling.seed.has_value());
  EXPECT_EQ(chat(R"("max_tokens":-1)").parameters.generate.max_tokens, -1);
  EXPECT_EQ(
      parse_completion_request(R"({"prompt":"a","max_tokens":-1})").parameters.generate.max_tokens,
      -1);
  for (const char* members : {R"("stop":"")", R"("stop":[""])", R"("stop":[])", R"("stop":null)"})
    EXPECT_TRUE(chat(members).parameters.generate.stop.empty()) << members;
  EXPECT_EQ(chat(R"("stop":["","x"])").parameters.generate.stop, std::vector<std::string>{"x"});
  EXPECT_FALSE(chat(R"("grammar":"")").parameters.has_form());
  for (const char* role : {"system", "developer", "user", "assistant", "tool"}) {
    const ChatRequest request =
        parse_chat_request(fmt::format(R"({{"messages":[{{"role":"{}","content":null}}]}})", role));
    EXPECT_EQ(request.messages[0].content, "") << role;
  }
}

TEST(Requests, HalfACharacterOfUtf16IsAReplacementCharacter) {
  const auto read = [](const std::string& text) {
    return parse_object("{\"a\":\"" + text + "\"}")["a"].get<std::string>();
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(a \ud83d b)", "a \uFFFD b"},     {R"(\ud83d)", "\uFFFD"},
      {R"(\uDE00x)", "\uFFFDx"},           {R"(\ud83d\ud83d\ude00)", "\uFFFD\U0001F600"},
      {R"(\ude00\ud83d)", "\uFFFD\uFFFD"}, {R"(\ud83d\u0041)", "\uFFFDA"},
      {R"(\uD83D\uDE00)", "\U0001F600"},   {R"(\\ud83d)", R"(\ud83d)"},
      {R"(\\\ud83d)", "\\\uFFFD"},         {R"(\"\ud83d\")", "\"\uFFFD\""},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(read(text), expected) << text;
  EXPECT_EQ(parse_object(R"({"\ud800k":1})").items().begin().key(), "\uFFFDk");
  for (const char* text : {R"({"a":"\ud8"})", R"({"a":"\udxyz"})", R"({"a":"\ud83d)"})
    EXPECT_EQ(error_of([&] { parse_object(text); }).status, 400) << text;
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
  EXPECT_EQ(parse_embedding_request(R"({"input":"a"})").pooling, std::nullopt);  // the model's
  for (const auto& [name, pooling] :
       {std::pair("mean", Pooling::kMean), std::pair("cls", Pooling::kCls),
        std::pair("last", Pooling::kLast)}) {
    const Json body = {{"input", "a"}, {"pooling", name}};
    EXPECT_EQ(parse_embedding_request(body.dump()).pooling, pooling);
  }
  EXPECT_TRUE(parse_embedding_request(R"({"input":"a","encoding_format":"base64"})").base64);
  EXPECT_EQ(parse_embedding_request(R"({"input":"a","truncate_prompt_tokens":9})").prompt.last, 9);
  Json many = {{"input", std::vector<std::string>(kMaxInputs, "a")}};
  EXPECT_EQ(parse_embedding_request(many.dump()).inputs.size(), 2048u);
  many["input"].push_back("a");
  EXPECT_EQ(error_of([&] { parse_embedding_request(many.dump()); }).param, "input");
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
