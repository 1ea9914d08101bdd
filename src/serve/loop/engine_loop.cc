#include "serve/loop/engine_loop.h"

#include <algorithm>
#include <exception>
#include <future>
#include <new>
#include <utility>

#include "base/log.h"

namespace tessera::serve {
namespace {

// Of the answers that one job has at once; more would not make a step much faster.
constexpr int kMostOfOne = 32;
constexpr const char* kCut = "the answer was cut by the server";

double seconds_since(Clock::time_point start, Clock::time_point now) {
  return std::chrono::duration<double>(now - start).count();
}

Outcome failed(std::string why) {
  Outcome outcome;
  outcome.fail(std::move(why));
  return outcome;
}

Outcome cancelled() {
  Outcome outcome;
  outcome.finish_reason = to_string(FinishReason::kCancelled);
  return outcome;
}

// For people.
std::string what(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return "the server has too little memory for this answer";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

EngineLoop::EngineLoop(Engine& engine, const Tokenizer& tokenizer, Metrics& metrics,
                       int most_answers)
    : engine_(engine),
      tokenizer_(tokenizer),
      metrics_(metrics),
      answers_(most_answers, most_answers),
      most_of_one_(std::clamp(most_answers / 4, 1, kMostOfOne)),
      thread_([this] { run(); }) {}

EngineLoop::~EngineLoop() {
  stop();
}

// --- other threads

std::shared_ptr<Job> EngineLoop::submit(std::vector<JobChoice> choices) {
  const int count = static_cast<int>(choices.size());
  const int at_once = std::min(count, most_of_one_);
  const std::string client = choices.empty() ? "" : choices.front().request.client;
  const std::lock_guard lock(mutex_);
  if (closed_) throw Closed("the server is shutting down");
  Places::Place places = answers_.enter(client, at_once);
  if (!places) {
    throw Overloaded(
        fmt::format("the server is busy: {} answers are being made or wait, {} more of "
                    "one client do not fit",
                    answers_.taken(), at_once),
        retry_after());
  }
  auto job = std::make_shared<Job>(count);
  submissions_.push_back(std::make_shared<Submission>(
      Submission{job, std::move(choices), Clock::now(), std::move(places)}));
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
  return answers_.taken() == 0;
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
  for (const auto& submission : unstarted_) end_unstarted(*submission, failed(kCut));
  finish_ended();
  publish_state();
}

bool EngineLoop::wait_for_work() {
  std::deque<std::shared_ptr<Submission>> submissions;
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
  for (const auto& submission : submissions) start_some(submission);
  return !stopping;
}

// As many of its choices as it has places for.
void EngineLoop::start_some(const std::shared_ptr<Submission>& submission) {
  while (!submission->has_begun() && submission->open < submission->places.count()) {
    start_next(submission);
  }
  const auto known = std::ranges::find(unstarted_, submission);
  if (submission->has_begun()) {
    if (known != unstarted_.end()) unstarted_.erase(known);
  } else if (known == unstarted_.end()) {
    unstarted_.push_back(submission);
  }
}

void EngineLoop::start_next(const std::shared_ptr<Submission>& submission) {
  const int index = static_cast<int>(submission->sequences.size());
  JobChoice& choice = submission->choices[index];
  std::shared_ptr<Sequence> sequence;
  try {
    auto active = std::make_unique<Active>();
    active->submission = submission;
    active->choice = index;
    if (choice.request.beams.width > 1) active->stop = choice.stop;
    active->answer = std::make_unique<Answer>(tokenizer_, std::move(choice.stop));
    choice.request.on_tokens = [this, a = active.get()](std::span<const Token> tokens) {
      return take_tokens(*a, tokens);
    };
    const auto sibling =
        choice.sibling < 0 ? nullptr : submission->sequences[choice.sibling].lock();
    active_.reserve(active_.size() + 1);
    active->beams = engine_.add_beams(std::move(choice.request), sibling);
    active->sequence = sequence = active->beams.front();
    active_.push_back(std::move(active));
    ++submission->open;
  } catch (const std::exception& error) {  // it was valid; but memory can run out
    for (int i = 0; i < answers_of(*submission, index); ++i)
      submission->job->finish(index + i, "", failed(error.what()));
  }
  submission->sequences.push_back(sequence);
  // What else the search finds comes with it.
  submission->sequences.resize(submission->sequences.size() +
                               static_cast<size_t>(answers_of(*submission, index) - 1));
}

// Choices that begin and end with `index`: the answers of a beam search, else one.
int EngineLoop::answers_of(const Submission& submission, int index) {
  const auto& choices = submission.choices;
  const auto others =
      std::ranges::find_if(choices.begin() + index + 1, choices.end(),
                           [&](const JobChoice& choice) { return choice.search != index; });
  return static_cast<int>(others - choices.begin()) - index;
}

void EngineLoop::end_unstarted(Submission& submission, const Outcome& outcome) {
  for (auto i = submission.sequences.size(); i < submission.choices.size(); ++i) {
    submission.job->finish(static_cast<int>(i), "", outcome);
  }
  submission.sequences.resize(submission.choices.size());
}

void EngineLoop::cancel_abandoned() {
  for (const auto& active : active_) {
    if (active->submission->job->is_cancelled()) engine_.cancel(*active->sequence);
  }
  unstarted_.remove_if([&](const auto& submission) {
    if (submission->job->is_cancelled()) end_unstarted(*submission, cancelled());
    return submission->has_begun();
  });
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
  active.submission->job->push_prompt(active.choice, active.sequence->prompt_logprobs);
}

bool EngineLoop::take_tokens(Active& active, std::span<const Token> tokens) {
  const auto now = Clock::now();
  if (active.has_tokens) {
    metrics_.count_tokens(static_cast<int>(tokens.size()), seconds_since(active.last_token, now));
  } else {
    metrics_.count_first_token(seconds_since(active.submission->time, now));
  }
  active.has_tokens = true;
  active.last_token = now;

  send_prompt(active);
  Answer::Piece piece = active.answer->push(*active.sequence, tokens);
  const bool in_time =
      active.submission->job->push(active.choice, static_cast<int>(tokens.size()),
                                   std::move(piece.text), std::move(piece.logprobs));
  active.overrun = !in_time && active.beams.size() == 1;  // a beam search gives all at once
  return !active.answer->stopped() && !active.overrun;
}

void EngineLoop::finish_ended() {
  const auto now = Clock::now();
  std::list<std::shared_ptr<Submission>> with_room;
  std::erase_if(active_, [&](const std::unique_ptr<Active>& active) {
    const Sequence& sequence = *active->sequence;
    if (sequence.admitted && !active->ran) {
      active->ran = true;
      metrics_.count_queue_time(seconds_since(active->submission->time, now));
    }
    if (sequence.finished == FinishReason::kNone) return false;
    try {
      finish(*active);
    } catch (const std::exception& error) {  // memory ran out
      active->submission->job->finish(active->choice, "", failed(error.what()));
    }
    --active->submission->open;
    with_room.push_back(active->submission);
    return true;
  });
  for (const auto& submission : with_room) start_some(submission);
}

void EngineLoop::finish(Active& active) {
  const Sequence& sequence = *active.sequence;
  Outcome outcome{active.answer->ending(sequence), {}, sequence.embedding};
  if (active.overrun) {
    outcome.fail("the answer was cut: the client reads it too slowly");
  } else if (sequence.finished == FinishReason::kCancelled &&
             !active.submission->job->is_cancelled()) {
    outcome.fail(kCut);
  } else if (sequence.finished == FinishReason::kFailed) {
    outcome.fail(what(sequence.failure));
    spdlog::error("an answer failed: {}", outcome.error);
  }
  if (sequence.finished == FinishReason::kLength) send_prompt(active);
  metrics_.count_request(outcome.finish_reason, outcome.prompt_tokens, outcome.generated_tokens,
                         seconds_since(active.submission->time, Clock::now()));
  finish_others(active, outcome);
  active.submission->job->finish(active.choice, active.answer->finish(), std::move(outcome));
}

// The further answers of a beam search. If the search came to nothing, they end as the first did.
void EngineLoop::finish_others(const Active& active, const Outcome& first) {
  Job& job = *active.submission->job;
  for (int i = 1; i < answers_of(*active.submission, active.choice); ++i) {
    const int choice = active.choice + i;
    Sequence& sequence = *active.beams[static_cast<size_t>(i)];
    if (sequence.finished == FinishReason::kCancelled ||
        sequence.finished == FinishReason::kFailed) {
      job.finish(choice, "", first);
      continue;
    }
    Answer answer(tokenizer_, active.stop);
    const auto tokens = std::span(sequence.tokens).subspan(sequence.prompt_size());
    Answer::Piece piece = answer.push(sequence, tokens);
    if (active.sequence->request.prompt_logprobs_from > 0)
      job.push_prompt(choice, active.sequence->prompt_logprobs);
    job.push(choice, static_cast<int>(tokens.size()), std::move(piece.text),
             std::move(piece.logprobs));
    Outcome outcome{answer.ending(sequence), {}, {}};
    outcome.is_absent = sequence.finished == FinishReason::kNoAnswer;
    metrics_.count_request(outcome.finish_reason, outcome.prompt_tokens, outcome.generated_tokens,
                           seconds_since(active.submission->time, Clock::now()));
    job.finish(choice, answer.finish(), std::move(outcome));
  }
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
