// Counts and durations, as Prometheus reads them. Names are those of vLLM where they mean the same,
// so that its dashboards work.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace tessera::serve {

using Clock = std::chrono::steady_clock;

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds)
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}
  void observe(double value);
  // Lines of `name`_bucket, _sum and _count with `labels` ("model_name=\"m\"").
  void print(const std::string& name, const std::string& labels, std::string& out) const;
  uint64_t count() const { return count_; }

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;  // of each bucket alone; the last one has no bound
  uint64_t count_ = 0;
  double sum_ = 0;
};

// What the engine looks like after a step.
struct EngineState {
  Engine::Statistics statistics = {};
  int running = 0, waiting = 0;
  int blocks = 0, used_blocks = 0;
};

// Tokens of each of the last seconds.
struct ThroughputSample {
  int64_t second = 0;  // of the server's life
  uint64_t generated = 0, prompt = 0;
};

// Any thread may call anything.
class Metrics {
 public:
  explicit Metrics(std::string model_name);

  void set_state(const EngineState& state);
  EngineState state() const;
  void count_request(const std::string& finish_reason, int prompt_tokens, int generated_tokens,
                     double seconds);
  void count_first_token(double seconds);
  // `tokens` came `seconds` after the one before them.
  void count_tokens(int tokens, double seconds);
  void count_queue_time(double seconds);
  void count_http(int status);

  std::string prometheus() const;
  std::vector<ThroughputSample> throughput() const;  // oldest first, at most kHistorySeconds
  int64_t second() const;                            // of the server's life: the one that runs
  static constexpr size_t kHistorySeconds = 300;

 private:
  void print_counters(std::string& out) const;
  void print_histograms(std::string& out) const;

  mutable std::mutex mutex_;
  std::string labels_;
  Clock::time_point started_ = Clock::now();
  EngineState state_;
  Histogram first_token_, token_gap_, queue_time_, request_time_, prompt_tokens_, generated_tokens_;
  std::map<std::string, uint64_t> finished_;  // by reason
  std::map<int, uint64_t> http_;              // by status
  std::deque<ThroughputSample> throughput_;
};

}  // namespace tessera::serve
