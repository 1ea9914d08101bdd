#include "serve/loop/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "serve/loop/job.h"

namespace tessera::serve {
namespace {

using testing::HasSubstr;

TEST(Metrics, BucketsCountWhatIsNotAboveThem) {
  Histogram histogram({1, 2});
  for (const double value : {0.5, 1.0, 1.5, 5.0}) histogram.observe(value);
  std::string text;
  histogram.print("h", "a=\"b\"", text);
  EXPECT_EQ(text,
            "h_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"2\"} 3\n"
            "h_bucket{a=\"b\",le=\"+Inf\"} 4\nh_sum{a=\"b\"} 8\nh_count{a=\"b\"} 4\n");
}

TEST(Metrics, TheTextIsPrometheusFormat) {
  Metrics metrics("a \"model\"\\");
  EngineState state{.running = 2, .waiting = 3, .blocks = 10, .used_blocks = 5};
  state.statistics.prompt_tokens = 100;
  state.statistics.cached_tokens = 64;
  metrics.set_state(state);
  metrics.count_first_token(0.3);
  metrics.count_tokens(2, 0.1);
  metrics.count_request("stop", 100, 7, 1.5);
  metrics.count_http(200);
  const std::string text = metrics.prometheus();
  EXPECT_THAT(text, HasSubstr("vllm:num_requests_running{model_name=\"a \\\"model\\\"\\\\\"} 2\n"));
  EXPECT_THAT(text,
              HasSubstr("vllm:kv_cache_usage_perc{model_name=\"a \\\"model\\\"\\\\\"} 0.5\n"));
  EXPECT_THAT(text, HasSubstr("finished_reason=\"stop\"} 1\n"));
  const std::regex sample(R"([a-z_:]+[a-z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? [0-9.e+-]+)");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.starts_with("# HELP ") || line.starts_with("# TYPE ") ||
                std::regex_match(line, sample))
        << line;
  }
}

// By vLLM's names, which its dashboards ask for.
TEST(Metrics, TellsWhatDraftsGain) {
  Metrics metrics("m");
  EngineState state;
  state.statistics.drafts = 5;
  state.statistics.drafted = 20;
  state.statistics.accepted = 7;
  state.statistics.accepted_at = {4, 2, 1};
  metrics.set_state(state);
  const std::string text = metrics.prometheus();
  for (const char* line :
       {"num_drafts_total{model_name=\"m\"} 5", "num_draft_tokens_total{model_name=\"m\"} 20",
        "num_accepted_tokens_total{model_name=\"m\"} 7",
        "num_accepted_tokens_per_pos_total{model_name=\"m\",position=\"0\"} 4",
        "num_accepted_tokens_per_pos_total{model_name=\"m\",position=\"1\"} 2",
        "num_accepted_tokens_per_pos_total{model_name=\"m\",position=\"2\"} 1",
        "num_accepted_tokens_per_pos_total{model_name=\"m\",position=\"3\"} 0"})
    EXPECT_THAT(text, HasSubstr(std::string("\nvllm:spec_decode_") + line + "\n"));
}

TEST(Metrics, ThroughputAddsUp) {
  Metrics metrics("m");
  EngineState state;
  for (int i = 1; i <= 5; ++i) {
    state.statistics.generated_tokens = 10 * i;
    metrics.set_state(state);
  }
  uint64_t generated = 0;
  for (const ThroughputSample& sample : metrics.throughput()) generated += sample.generated;
  EXPECT_EQ(generated, 50u);
}

TEST(Job, GathersWhatTheReaderHasNotSeen) {
  Job job(2);
  EXPECT_TRUE(job.push(1, 1, "a", {}));
  EXPECT_TRUE(job.push(1, 1, "b", {}));
  const auto updates = job.wait(std::chrono::milliseconds(0));
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].choice, 1);
  EXPECT_EQ(updates[0].text, "ab");
  EXPECT_TRUE(job.wait(std::chrono::milliseconds(0)).empty());
  job.finish(0, "", {{.finish_reason = "stop"}});
  job.finish(1, "c", {{.finish_reason = "stop"}});
  EXPECT_FALSE(job.is_done());
  EXPECT_EQ(job.wait(std::chrono::milliseconds(0)).size(), 2u);
  EXPECT_TRUE(job.is_done());
}

TEST(Job, ASlowReaderIsBounded) {
  Job job(1);
  EXPECT_TRUE(job.push(0, Job::kMaxUnread, "x", {}));
  EXPECT_FALSE(job.push(0, 1, "x", {}));
  job.wait(std::chrono::milliseconds(0));
  EXPECT_TRUE(job.push(0, 1, "x", {}));
}

}  // namespace
}  // namespace tessera::serve
