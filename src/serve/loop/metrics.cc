#include "serve/loop/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace tessera::serve {
namespace {

const std::vector<double> kLatencies = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,
                                        0.75,  1.0,   2.5,  5.0,  7.5,  10.0, 20.0, 40.0, 80.0};
const std::vector<double> kGaps = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15,
                                   0.2,   0.3,    0.4,   0.5,  0.75,  1.0,  2.5,   5.0};
const std::vector<double> kDurations = {0.1,  0.3,  0.5,  0.8,  1.0,  1.5,  2.0,   2.5,  5.0,
                                        10.0, 15.0, 20.0, 30.0, 60.0, 120., 240.0, 480.0};
const std::vector<double> kTokens = {1,   2,    5,    10,   20,    50,    100,   200,
                                     500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

std::string escaped(const std::string& label) {
  std::string out;
  for (const char c : label) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}  // namespace

void Histogram::observe(double value) {
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  ++counts_[bucket];
  ++count_;
  sum_ += value;
}

void Histogram::print(const std::string& name, const std::string& labels, std::string& out) const {
  auto to = std::back_inserter(out);
  uint64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i];
    fmt::format_to(to, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bounds_[i], below);
  }
  fmt::format_to(to, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, count_);
  fmt::format_to(to, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, sum_, count_);
}

Metrics::Metrics(std::string model_name)
    : labels_("model_name=\"" + escaped(model_name) + "\""),
      first_token_(kLatencies),
      token_gap_(kGaps),
      queue_time_(kDurations),
      request_time_(kDurations),
      prompt_tokens_(kTokens),
      generated_tokens_(kTokens) {}

void Metrics::set_state(const EngineState& state) {
  const std::lock_guard lock(mutex_);
  if (throughput_.empty() || throughput_.back().second != second()) {
    throughput_.push_back({.second = second()});
    if (throughput_.size() > kHistorySeconds) throughput_.pop_front();
  }
  ThroughputSample& sample = throughput_.back();
  sample.generated += state.statistics.generated_tokens - state_.statistics.generated_tokens;
  sample.prompt += state.statistics.prompt_tokens - state_.statistics.prompt_tokens;
  state_ = state;
}

int64_t Metrics::second() const {
  return std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_).count();
}

EngineState Metrics::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Metrics::count_request(const std::string& finish_reason, int prompt_tokens,
                            int generated_tokens, double seconds) {
  const std::lock_guard lock(mutex_);
  ++finished_[finish_reason];
  prompt_tokens_.observe(prompt_tokens);
  generated_tokens_.observe(generated_tokens);
  request_time_.observe(seconds);
}

void Metrics::count_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_.observe(seconds);
}

void Metrics::count_tokens(int tokens, double seconds) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < tokens; ++i) token_gap_.observe(seconds / tokens);
}

void Metrics::count_queue_time(double seconds) {
  const std::lock_guard lock(mutex_);
  queue_time_.observe(seconds);
}

void Metrics::count_http(int status) {
  const std::lock_guard lock(mutex_);
  ++http_[status];
}

std::vector<ThroughputSample> Metrics::throughput() const {
  const std::lock_guard lock(mutex_);
  return {throughput_.begin(), throughput_.end()};
}

std::string Metrics::prometheus() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  print_counters(out);
  print_histograms(out);
  return out;
}

void Metrics::print_counters(std::string& out) const {
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                       auto value) {
    head(out, name, type, help);
    fmt::format_to(std::back_inserter(out), "{}{{{}}} {}\n", name, labels_, value);
  };
  const Engine::Statistics& s = state_.statistics;
  const double usage =
      state_.blocks > 0 ? static_cast<double>(state_.used_blocks) / state_.blocks : 0.0;
  one("vllm:num_requests_running", "gauge", "Sequences that run.", state_.running);
  one("vllm:num_requests_waiting", "gauge", "Sequences that wait.", state_.waiting);
  one("vllm:kv_cache_usage_perc", "gauge", "KV blocks in use, 1 is all.", usage);
  one("vllm:gpu_cache_usage_perc", "gauge", "The same, under its older name.", usage);
  one("vllm:num_preemptions_total", "counter", "Sequences preempted.", s.preemptions);
  one("vllm:prefix_cache_queries_total", "counter", "Prompt tokens looked up in the prefix cache.",
      s.prompt_tokens);
  one("vllm:prefix_cache_hits_total", "counter", "Prompt tokens found there.", s.cached_tokens);
  one("vllm:prompt_tokens_total", "counter", "Prompt tokens, cached ones included.",
      s.prompt_tokens);
  one("vllm:generation_tokens_total", "counter", "Tokens generated.", s.generated_tokens);
  one("vllm:spec_decode_num_drafts_total", "counter", "Drafts verified.", s.drafts);
  one("vllm:spec_decode_num_draft_tokens_total", "counter", "Tokens drafted.", s.drafted);
  one("vllm:spec_decode_num_accepted_tokens_total", "counter", "Drafted tokens accepted.",
      s.accepted);
  constexpr std::string_view kPerPosition = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
  head(out, kPerPosition, "counter", "The same, by their place in the draft.");
  for (size_t i = 0; i < s.accepted_at.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{{{},position=\"{}\"}} {}\n", kPerPosition, labels_,
                   i, s.accepted_at[i]);
  }
  one("tessera:steps_total", "counter", "Forward passes.", s.steps);
  head(out, "vllm:request_success_total", "counter", "Answers ended, by reason.");
  for (const auto& [reason, count] : finished_) {
    fmt::format_to(std::back_inserter(out),
                   "vllm:request_success_total{{{},finished_reason=\"{}\"}} {}\n", labels_, reason,
                   count);
  }
  head(out, "tessera:http_responses_total", "counter", "HTTP responses, by status.");
  for (const auto& [status, count] : http_) {
    fmt::format_to(std::back_inserter(out), "tessera:http_responses_total{{code=\"{}\"}} {}\n",
                   status, count);
  }
}

void Metrics::print_histograms(std::string& out) const {
  const auto one = [&](const std::string& name, std::string_view help, const Histogram& histogram) {
    head(out, name, "histogram", help);
    histogram.print(name, labels_, out);
  };
  one("vllm:time_to_first_token_seconds", "From the request to the first token.", first_token_);
  one("vllm:time_per_output_token_seconds", "Between tokens of an answer.", token_gap_);
  one("vllm:inter_token_latency_seconds", "The same, under its newer name.", token_gap_);
  one("vllm:e2e_request_latency_seconds", "From the request to the last token.", request_time_);
  one("vllm:request_queue_time_seconds", "Waiting before the first step.", queue_time_);
  one("vllm:request_prompt_tokens", "Prompt tokens of an answer.", prompt_tokens_);
  one("vllm:request_generation_tokens", "Generated tokens of an answer.", generated_tokens_);
}

}  // namespace tessera::serve
