// The thread that owns the engine. Other threads hand jobs in and read what comes of them; nothing
// they do, or fail to do, makes the engine wait.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/places.h"
#include "engine/answer.h"
#include "engine/engine.h"
#include "serve/loop/job.h"
#include "serve/loop/metrics.h"
#include "text/tokenizer.h"

namespace tessera::serve {

// No room for more answers.
class Overloaded : public Error {
 public:
  Overloaded(const std::string& message, int seconds) : Error(message), retry_after(seconds) {}
  int retry_after;  // seconds after which it may be worth a try
};

// The loop takes no more jobs.
class Closed : public Error {
 public:
  using Error::Error;
};

class EngineLoop {
 public:
  // `most_answers`: running and waiting ones together, of which no client has all (base/places.h);
  // more are refused. Of one job only so many are there at once as leave room for others: the rest
  // wait outside, and count for nothing.
  EngineLoop(Engine& engine, const Tokenizer& tokenizer, Metrics& metrics, int most_answers);
  ~EngineLoop();  // stops

  // Throws Error if the engine can never run the request.
  void validate(const Request& request) const { engine_.validate(request); }
  int longest_answer(const Request& request) const { return engine_.longest_answer(request); }
  // Takes valid requests, all of one client. Throws Overloaded or Closed.
  std::shared_ptr<Job> submit(std::vector<JobChoice> choices);
  // Calls look() on the engine's thread, between two steps, and waits for it. False if the loop has
  // stopped.
  bool inspect(std::function<void(const Engine&)> look);

  void close();          // refuses new jobs from now on
  bool is_idle() const;  // no answer is open
  void stop();           // cuts what still runs and ends the thread

 private:
  // A job, of which some choices may not have begun.
  struct Submission {
    std::shared_ptr<Job> job;
    std::vector<JobChoice> choices;
    Clock::time_point time;
    Places::Place places;  // for as many of them as there are at once
    std::vector<std::weak_ptr<Sequence>> sequences = {};  // of those that have begun
    int open = 0;                                         // of these, not finished

    bool has_begun() const { return sequences.size() == choices.size(); }
  };
  // An answer in the making.
  struct Active {
    std::shared_ptr<Submission> submission;
    int choice = 0;
    std::shared_ptr<Sequence> sequence;
    std::vector<std::shared_ptr<Sequence>> beams;  // of a search; `sequence` is the first
    std::vector<std::string> stop;                 // of a search
    std::unique_ptr<Answer> answer;
    Clock::time_point last_token;
    bool ran = false, has_tokens = false, has_prompt = false, overrun = false;
  };
  void run();
  bool wait_for_work();  // false: stop
  void start_some(const std::shared_ptr<Submission>& submission);
  void start_next(const std::shared_ptr<Submission>& submission);
  static int answers_of(const Submission& submission, int index);
  static void end_unstarted(Submission& submission, const Outcome& outcome);
  void cancel_abandoned();
  void step();
  static void send_prompt(Active& active);
  bool take_tokens(Active& active, std::span<const Token> tokens);
  void finish_ended();
  void finish(Active& active);
  void finish_others(const Active& active, const Outcome& first);
  void publish_state();
  int retry_after() const;

  Engine& engine_;
  const Tokenizer& tokenizer_;
  Metrics& metrics_;
  Places answers_;
  const int most_of_one_;  // answers of one job at once

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Submission>> submissions_;
  std::deque<std::function<void()>> inspections_;
  bool closed_ = false, stopping_ = false, stopped_ = false;

  // The engine's thread only.
  std::vector<std::unique_ptr<Active>> active_;
  std::list<std::shared_ptr<Submission>> unstarted_;  // of which choices have not begun
  std::thread thread_;
};

}  // namespace tessera::serve
