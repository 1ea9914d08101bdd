#include "serve/loop/engine_loop.h"

#include <algorithm>
#include <exception>
#include <future>
#include <utility>

#include "base/log.h"

namespace tessera::serve {
namespace {

double seconds_since(Clock::time_point start, Clock::time_point now) {
  return std::chrono::duration<double>(now - start).count();
}

}  // namespace

EngineLoop::EngineLoop(Engine& engine, const Tokenizer& tokenizer, Metrics& metrics,
                       int most_answers)
    : engine_(engine),
      tokenizer_(tokenizer),
      metrics_(metrics),
      most_answers_(most_answers),
      thread_([this] { run(); }) {}

EngineLoop::~EngineLoop() {
  stop();
}

// --- other threads

std::shared_ptr<Job> EngineLoop::submit(std::vector<JobChoice> choices) {
  const int count = static_cast<int>(choices.size());
  const std::lock_guard lock(mutex_);
  if (closed_) throw Closed("the server is shutting down");
  if (open_answers_ + count > most_answers_) {
    throw Overloaded(
        fmt::format("the server is busy: {} answers are being made or wait, {} more do "
                    "not fit",
                    open_answers_, count),
        retry_after());
  }
  open_answers_ += count;
  auto job = std::make_shared<Job>(count);
  submissions_.push_back({job, std::move(choices), Clock::now()});
  changed_.notify_one();
  return job;
}

// A guess: what waits, at one answer of the running ones a second.
int EngineLoop::retry_after() const {
  const EngineState state = metrics_.state();
  return std::clamp(state.waiting / std::max(1, state.running), 1, 60);
}

bool EngineLoop::inspect(std::function<void(const Engine&)> look) {
  std::promise<void> looked;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return false;
    inspections_.push_back([&] {
      try {
        look(engine_);
        looked.set_value();
      } catch (...) {
        looked.set_exception(std::current_exception());
      }
    });
    changed_.notify_one();
  }
  looked.get_future().get();
  return true;
}

void EngineLoop::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

bool EngineLoop::is_idle() const {
  const std::lock_guard lock(mutex_);
  return open_answers_ == 0;
}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

// --- the engine's thread

void EngineLoop::run() {
  while (wait_for_work()) {
    cancel_abandoned();
    step();
    finish_ended();
    publish_state();
  }
  for (const auto& active : active_) engine_.cancel(*active->sequence);
  finish_ended();
  publish_state();
}

bool EngineLoop::wait_for_work() {
  std::deque<Submission> submissions;
  std::deque<std::function<void()>> inspections;
  bool stopping = false;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return stopping_ || !active_.empty() || !submissions_.empty() || !inspections_.empty();
    });
    submissions.swap(submissions_);
    inspections.swap(inspections_);
    stopping = stopped_ = stopping_;
  }
  for (const auto& look : inspections) look();
  for (Submission& submission : submissions) start(std::move(submission));
  return !stopping;
}

void EngineLoop::start(Submission submission) {
  std::vector<std::shared_ptr<Sequence>> sequences(submission.choices.size());
  for (int i = 0; i < submission.job->choices(); ++i) {
    JobChoice& choice = submission.choices[i];
    auto active = std::make_unique<Active>();
    active->job = submission.job;
    active->choice = i;
    active->submitted = submission.time;
    active->answer = std::make_unique<Answer>(tokenizer_, std::move(choice.stop));
    choice.request.on_tokens = [this, a = active.get()](std::span<const Token> tokens) {
      return take_tokens(*a, tokens);
    };
    try {
      const auto sibling = choice.sibling < 0 ? nullptr : sequences[choice.sibling];
      active->sequence = sequences[i] = engine_.add(std::move(choice.request), sibling);
      active_.push_back(std::move(active));
    } catch (const std::exception& error) {  // it was valid; but memory can run out
      Outcome outcome;
      outcome.fail(error.what());
      submission.job->finish(i, "", std::move(outcome));
      const std::lock_guard lock(mutex_);
      --open_answers_;
    }
  }
}

void EngineLoop::cancel_abandoned() {
  for (const auto& active : active_) {
    if (active->job->is_cancelled()) engine_.cancel(*active->sequence);
  }
}

// A step that fails (memory ran out) must not end the server: everybody in it is told.
void EngineLoop::step() {
  try {
    engine_.step();
  } catch (const std::exception& error) {
    spdlog::error("a step failed: {}", error.what());
    for (const auto& active : active_) engine_.cancel(*active->sequence);
  }
}

// Before anything else of an answer.
void EngineLoop::send_prompt(Active& active) {
  if (std::exchange(active.has_prompt, true) || active.sequence->request.prompt_logprobs_from == 0)
    return;
  active.job->push_prompt(active.choice, active.sequence->prompt_logprobs);
}

bool EngineLoop::take_tokens(Active& active, std::span<const Token> tokens) {
  const auto now = Clock::now();
  if (active.has_tokens) {
    metrics_.count_tokens(static_cast<int>(tokens.size()), seconds_since(active.last_token, now));
  } else {
    metrics_.count_first_token(seconds_since(active.submitted, now));
  }
  active.has_tokens = true;
  active.last_token = now;

  send_prompt(active);
  Answer::Piece piece = active.answer->push(*active.sequence, tokens);
  active.overrun = !active.job->push(active.choice, static_cast<int>(tokens.size()),
                                     std::move(piece.text), std::move(piece.logprobs));
  return !active.answer->stopped() && !active.overrun;
}

void EngineLoop::finish_ended() {
  const auto now = Clock::now();
  int ended = 0;
  std::erase_if(active_, [&](const std::unique_ptr<Active>& active) {
    const Sequence& sequence = *active->sequence;
    if (sequence.admitted && !active->ran) {
      active->ran = true;
      metrics_.count_queue_time(seconds_since(active->submitted, now));
    }
    if (sequence.finished == FinishReason::kNone) return false;
    Outcome outcome{active->answer->ending(sequence), {}, sequence.embedding};
    if (active->overrun) {
      outcome.fail("the answer was cut: the client reads it too slowly");
    } else if (sequence.finished == FinishReason::kCancelled && !active->job->is_cancelled()) {
      outcome.fail("the answer was cut by the server");
    }
    if (sequence.finished == FinishReason::kLength) send_prompt(*active);
    metrics_.count_request(outcome.finish_reason, outcome.prompt_tokens, outcome.generated_tokens,
                           seconds_since(active->submitted, now));
    active->job->finish(active->choice, active->answer->finish(), std::move(outcome));
    ++ended;
    return true;
  });
  if (ended == 0) return;
  const std::lock_guard lock(mutex_);
  open_answers_ -= ended;
}

void EngineLoop::publish_state() {
  const Scheduler& scheduler = engine_.scheduler();
  const auto unfinished = [](const Scheduler::Queue& queue) {
    return static_cast<int>(std::ranges::count_if(
        queue, [](const auto& s) { return s->finished == FinishReason::kNone; }));
  };
  metrics_.set_state({.statistics = engine_.statistics(),
                      .running = unfinished(scheduler.running()),
                      .waiting = unfinished(scheduler.waiting()),
                      .blocks = engine_.pool().capacity(),
                      .used_blocks = engine_.pool().capacity() - engine_.pool().available()});
}

}  // namespace tessera::serve
