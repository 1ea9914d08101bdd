// What a server tells of drafts: in the usage of answers, and in its metrics.
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "serve/server_support.h"

namespace tessera::serve {
namespace {

const std::string kCompletions = "/v1/completions";

// An answer that says one token again and again.
Json monotonous(const Fixture& fixture, const Json& fields) {
  const Token token =
      fixture.json("/tokenize", R"({"prompt": "a", "add_special_tokens": false})")["tokens"][0];
  Json body = {{"prompt", "abc"},
               {"max_tokens", 40},
               {"temperature", 0},
               {"ignore_eos", true},
               {"logit_bias", {{std::to_string(token), 100}}}};
  body.update(fields);
  return body;
}

// The metrics of drafts, less "vllm:spec_decode_" and the model's name.
std::map<std::string, int> metrics(const Fixture& fixture) {
  EXPECT_TRUE(fixture.becomes_idle());  // what the last step did is told
  std::istringstream lines(fixture.client().Get("/metrics")->body);
  const std::string_view prefix = "vllm:spec_decode_", model = "{model_name=\"org/tiny.gguf\"";
  std::map<std::string, int> found;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(prefix)) continue;
    line.erase(0, prefix.size());
    const size_t labels = line.find(model);
    if (labels == std::string::npos) {
      ADD_FAILURE() << line;
      continue;
    }
    line.erase(labels, model.size());
    const size_t value = line.rfind(' ');
    found[line.substr(0, value)] = std::stoi(line.substr(value));
  }
  return found;
}

std::string per_position(int position) {
  return fmt::format("num_accepted_tokens_per_pos_total,position=\"{}\"}}", position);
}

TEST(DraftFigures, AnAnswerTellsItsStepsAndDrafts) {
  const Fixture fixture;
  for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
    Json body = monotonous(fixture, {{"decoder", "lookup"}});
    if (path != kCompletions) {
      body.erase("prompt");
      body["messages"] = Json::array({{{"role", "user"}, {"content", "hi"}}});
    }
    const Json usage = fixture.json(path, body.dump())["usage"];
    ASSERT_TRUE(usage.contains("decoder_details")) << usage;
    const Json details = usage["decoder_details"];
    EXPECT_EQ(details.size(), 3u) << details;
    EXPECT_EQ(usage["completion_tokens"], 40);
    EXPECT_EQ(details["steps"].get<int>() + details["accepted_tokens"].get<int>(), 40)
        << "a step gives a token beside those that were accepted";
    EXPECT_GT(details["accepted_tokens"], 10) << "nothing is easier to guess";
    EXPECT_GE(details["drafted_tokens"], details["accepted_tokens"]);
  }
}

TEST(DraftFigures, NothingIsToldWhereNothingWasDrafted) {
  const Fixture fixture;
  const Json usage =
      fixture.json(kCompletions, monotonous(fixture, {{"decoder", "plain"}}).dump())["usage"];
  EXPECT_EQ(usage["completion_tokens"], 40);
  EXPECT_FALSE(usage.contains("decoder_details")) << usage;
  for (const auto& [name, value] : metrics(fixture)) EXPECT_EQ(value, 0) << name;
}

TEST(DraftFigures, TheAnswersOfARequestAreAddedUpAndAStreamTellsTheSame) {
  const Fixture fixture;
  const Json body = monotonous(fixture, {{"decoder", "lookup,nodes=3"}, {"n", 3}});
  const Json details = fixture.json(kCompletions, body.dump())["usage"]["decoder_details"];
  EXPECT_EQ(details["steps"].get<int>() + details["accepted_tokens"].get<int>(), 3 * 40);
  Json streamed = body;
  streamed.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  const auto result = fixture.post(kCompletions, streamed.dump());
  ASSERT_TRUE(result);
  const Json last = events_of(result->body).back();
  const Json told = last["usage"]["decoder_details"];
  EXPECT_EQ(told["steps"].get<int>() + told["accepted_tokens"].get<int>(), 3 * 40);
}

TEST(DraftFigures, MetricsAreTheSumsOfWhatAnswersTell) {
  const Fixture fixture;
  int steps = 0, drafted = 0, accepted = 0;
  const auto ask = [&](const Json& fields) {
    const Json answer = fixture.json(kCompletions, monotonous(fixture, fields).dump());
    const Json details = answer["usage"]["decoder_details"];
    steps += details["steps"].get<int>();
    drafted += details["drafted_tokens"].get<int>();
    accepted += details["accepted_tokens"].get<int>();
  };
  ask({{"decoder", "lookup,nodes=4"}});
  ask({{"decoder", "lookup,nodes=2"}, {"n", 2}});
  const auto found = metrics(fixture);
  EXPECT_EQ(found.at("num_draft_tokens_total}"), drafted);
  EXPECT_EQ(found.at("num_accepted_tokens_total}"), accepted);
  const int drafts = found.at("num_drafts_total}");
  EXPECT_GT(drafts, 0);
  EXPECT_LE(drafts, steps);
  EXPECT_LE(drafts, drafted);
  EXPECT_GT(found.at(per_position(1)), 0);
  int sum = 0, before = drafts;  // a token is accepted only behind the one before
  for (int position = 0; position < 16; ++position) {
    const int here = found.at(per_position(position));
    EXPECT_LE(here, before) << position;
    sum += here;
    before = here;
  }
  EXPECT_EQ(sum, accepted);
  EXPECT_EQ(found.at(per_position(4)), 0) << "no tree was so deep";
}

TEST(DraftFigures, WrongDraftsAreToldOf) {
  const Fixture fixture;
  const Json wrong = {{"type", "content"}, {"content", "bcdefghijklm"}};
  const Json usage = fixture.json(
      kCompletions,
      monotonous(fixture, {{"decoder", "prediction"}, {"prediction", wrong}}).dump())["usage"];
  ASSERT_TRUE(usage.contains("decoder_details")) << usage;
  EXPECT_GT(usage["decoder_details"]["drafted_tokens"], 0);
  EXPECT_EQ(usage["decoder_details"]["accepted_tokens"], 0);
  EXPECT_EQ(usage["decoder_details"]["steps"], 40);
  const auto found = metrics(fixture);
  EXPECT_EQ(found.at("num_draft_tokens_total}"), usage["decoder_details"]["drafted_tokens"]);
  EXPECT_EQ(found.at("num_accepted_tokens_total}"), 0);
  EXPECT_EQ(found.at(per_position(0)), 0);
}

}  // namespace
}  // namespace tessera::serve
