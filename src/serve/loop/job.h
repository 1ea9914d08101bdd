// The answers to one HTTP request on their way from the engine's thread to the thread that serves
// the client.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/answer.h"
#include "engine/sequence.h"
#include "serve/loop/metrics.h"

namespace tessera::serve {

// One answer that is asked for.
struct JobChoice {
  Request request = {};  // its on_tokens is the job's to set
  std::vector<std::string> stop = {};
  int sibling = -1;  // an earlier choice of the job with the same prompt, which is computed once
  // The earlier choice whose beam search this one is a further answer of; it has no request itself.
  int search = -1;
};

// How an answer ended; its finish_reason may also be "error".
struct Outcome : Ending {
  std::string error = {};
  std::vector<float> embedding = {};
  bool is_absent = false;  // a beam search found no such answer

  void fail(std::string why) {
    finish_reason = "error";
    error = std::move(why);
  }
};

// What came of one answer since its reader last looked.
struct Update {
  int choice = 0;
  std::vector<TokenLogprobs> prompt_logprobs;  // if asked for: before the first text
  std::string text;                            // whole characters
  std::vector<TokenLogprobs> logprobs;
  std::optional<Outcome> outcome;  // the last update of this choice
};

// The engine writes, one reader reads. The engine never waits: an answer whose reader is more than
// kMaxUnread tokens behind is cut.
class Job {
 public:
  static constexpr int kMaxUnread = 4096;

  explicit Job(int choices)
      : waiting_(choices), unread_tokens_(choices), open_(choices), choices_(choices) {}

  int choices() const { return choices_; }

  // --- the reader
  // What is new, in the order of choices; empty if nothing came for `timeout`.
  std::vector<Update> wait(std::chrono::milliseconds timeout);
  // All outcomes were read.
  bool is_done() const;
  // The engine stops all answers before its next step. Does not wait.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // --- the engine
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // False if the reader is too far behind.
  bool push(int choice, int tokens, std::string text, std::vector<TokenLogprobs> logprobs);
  void push_prompt(int choice, std::vector<TokenLogprobs> logprobs);
  void finish(int choice, std::string last_text, Outcome outcome);

 private:
  struct Unread {
    bool any = false;
    Update update;
  };
  Update& unread(int choice);  // under mutex_

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Unread> waiting_;
  std::vector<int> unread_tokens_;
  int open_;  // choices whose outcome was not read
  int choices_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace tessera::serve
