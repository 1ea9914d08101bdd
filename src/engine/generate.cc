#include "engine/generate.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"
#include "engine/answer.h"
#include "engine/text_stream.h"

namespace tessera {
namespace {

using TextSink = std::function<bool(size_t index, std::string_view text)>;

// One answer in the making.
class Run {
 public:
  Run(const Tokenizer& tokenizer, const GenerateOptions& options, size_t index,
      const TextSink& on_text)
      : tokenizer_(tokenizer),
        stop_(options.stop),
        index_(index),
        on_text_(on_text),
        answer_(tokenizer, options.stop) {}

  // The sequence must not stay behind with references to this object, should a callback throw.
  ~Run() {
    if (sequence_ != nullptr) engine_->cancel(*sequence_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void start(Engine& engine, GenerateTask& task) {
    engine_ = &engine;
    task.request.on_tokens = [this](std::span<const Token> tokens) { return take(tokens); };
    beams_ = engine.add_beams(std::move(task.request), task.sibling);
    sequence_ = beams_.front();
    if (task.finished != nullptr) *task.finished = sequence_;
  }

  // After a step: a beam search gives no token before its end.
  void note_first_token() {
    if (first_token_ms_ == 0 && sequence_->statistics.steps > 0)
      first_token_ms_ = timer_.milliseconds();
  }
  bool is_running() const { return sequence_->finished == FinishReason::kNone; }
  void cancel() {
    cancelled_ = true;
    engine_->cancel(*sequence_);
  }

  Generation finish() {
    if (sequence_->failure) std::rethrow_exception(sequence_->failure);
    if (!cancelled_) emit(answer_.finish());
    const Ending ending = answer_.ending(*sequence_);
    result_.finish_reason = cancelled_ ? "cancelled" : ending.finish_reason;
    result_.seed = sequence_->sampler.seed();
    result_.prompt_tokens = ending.prompt_tokens;
    result_.cached_tokens = ending.cached_tokens;
    result_.accepted_prediction = ending.accepted_prediction;
    result_.rejected_prediction = ending.rejected_prediction;
    result_.steps = sequence_->statistics.steps;
    result_.drafted = sequence_->statistics.drafted;
    result_.accepted = sequence_->statistics.accepted;
    result_.prefill_ms = first_token_ms_;
    result_.decode_ms = last_token_ms_ - first_token_ms_;
    if (beams_.size() > 1 && !cancelled_) {
      for (const auto& beam : beams_) {
        if (beam->finished != FinishReason::kNoAnswer) result_.beams.push_back(text_of(*beam));
      }
    }
    sequence_->request.on_tokens = nullptr;
    sequence_ = nullptr;
    return std::move(result_);
  }

 private:
  BeamText text_of(Sequence& beam) const {
    const auto tokens = std::span(beam.tokens).subspan(beam.prompt_size());
    Answer answer(tokenizer_, stop_);
    BeamText result{.text = answer.push(beam, tokens).text,
                    .tokens = {tokens.begin(), tokens.end()},
                    .finish_reason = to_string(beam.finished),
                    .score = beam.score};
    result.text += answer.finish();
    return result;
  }

  bool take(std::span<const Token> tokens) {
    last_token_ms_ = timer_.milliseconds();
    if (first_token_ms_ == 0) first_token_ms_ = last_token_ms_;
    for (const Token token : tokens) {
      result_.tokens.push_back(token);
      if (!cancelled_) emit(answer_.push(*sequence_, std::span(&token, 1)).text);
      if (cancelled_ || answer_.stopped()) return false;
    }
    return true;
  }

  void emit(const std::string& text) {
    result_.text += text;
    if (!text.empty() && on_text_ && !on_text_(index_, text)) cancelled_ = true;
  }

  const Tokenizer& tokenizer_;
  const std::vector<std::string>& stop_;
  size_t index_;
  const TextSink& on_text_;
  Answer answer_;
  Engine* engine_ = nullptr;
  std::vector<std::shared_ptr<Sequence>> beams_;  // the best first; of no search one
  std::shared_ptr<Sequence> sequence_;            // the first of them
  bool cancelled_ = false;
  Timer timer_;
  double first_token_ms_ = 0, last_token_ms_ = 0;
  Generation result_;
};

}  // namespace

std::shared_ptr<const ConstraintSource> find_constraint(StructuredOutput& structured_output,
                                                        const GenerateOptions& options) {
  if (!options.grammar.empty() && !options.json_schema.empty())
    fail("a grammar and a JSON schema are given, expected one of them");
  if (!options.grammar.empty()) return structured_output.grammar(options.grammar);
  if (!options.json_schema.empty()) return structured_output.json_schema(options.json_schema);
  return nullptr;
}

namespace {

// Of each word at the beginning of a text and behind a blank, as vLLM does.
std::vector<Ban> bans_of(const std::vector<std::string>& words, const Tokenizer& tokenizer) {
  std::vector<Ban> bans;
  for (const std::string& word : words) {
    for (const char* before : {"", " "}) {
      auto tokens = tokenizer.encode(before + word, {.add_special = false});
      if (!tokens.empty()) bans.push_back({std::move(tokens)});
    }
  }
  return bans;
}

// Whether a text has one of the `stop` texts in it, as Answer reads it.
std::function<bool(std::span<const Token>)> stops_at(std::vector<std::string> stop, int min_tokens,
                                                     const Tokenizer& tokenizer) {
  if (stop.empty()) return {};
  return [stop = std::move(stop), min_tokens, &tokenizer](std::span<const Token> answer) {
    TextStream text(tokenizer, stop);
    for (size_t i = 0; i < answer.size() && !text.stopped(); ++i) {
      if (static_cast<size_t>(answer[i]) < tokenizer.vocabulary_size())
        text.push(answer[i], i >= static_cast<size_t>(min_tokens));
    }
    return text.stopped();
  };
}

// Of a prediction longer than any answer, the beginning. No text of so many tokens is worth reading
// that has more than this many bytes for each.
std::vector<Token> tokenize_prediction(std::string_view text, const Tokenizer& tokenizer,
                                       int context) {
  constexpr size_t kMostBytesOfToken = 16;
  size_t end = std::min(text.size(), kMostBytesOfToken * static_cast<size_t>(context));
  while (end < text.size() && end > 0 && (text[end] & 0xC0) == 0x80) --end;
  auto tokens = tokenizer.encode(text.substr(0, end), {.add_special = false});
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(context)));
  return tokens;
}

}  // namespace

Request make_request(std::vector<Token> prompt, const GenerateOptions& options,
                     std::shared_ptr<const ConstraintSource> constraint, const Tokenizer& tokenizer,
                     int context) {
  Request request;
  const int room = context + 1 - static_cast<int>(prompt.size());
  if (options.max_tokens < -1)
    fail("the number of tokens to generate is {}, expected 0 or more", options.max_tokens);
  request.prompt = std::move(prompt);
  request.beams = {options.beams, options.length_penalty, options.early_stopping};
  request.beams.validate();
  if (options.beams > 1) request.ends_text = stops_at(options.stop, options.min_tokens, tokenizer);
  request.max_tokens = options.max_tokens < 0 ? std::max(room, 0) : options.max_tokens;
  request.ignore_eos = options.ignore_eos;
  request.min_tokens = options.min_tokens;
  request.stop_tokens = options.stop_tokens;
  request.bans = bans_of(options.bad_words, tokenizer);
  const bool is_default = options.decoder == GenerateOptions().decoder;
  request.decoder = options.beams > 1 && is_default ? kPlainDecoder : options.decoder;
  request.prediction = tokenize_prediction(options.prediction, tokenizer, context);
  request.sampling = options.sampling;
  request.constraint = std::move(constraint);
  return request;
}

std::vector<Generation> generate(Engine& engine, const Tokenizer& tokenizer,
                                 std::vector<GenerateTask> tasks, const GenerateOptions& options,
                                 const TextSink& on_text) {
  for (const GenerateTask& task : tasks) engine.validate(task.request);  // before any runs
  std::vector<std::unique_ptr<Run>> runs;
  for (size_t i = 0; i < tasks.size(); ++i) {
    runs.push_back(std::make_unique<Run>(tokenizer, options, i, on_text));
    runs.back()->start(engine, tasks[i]);
  }
  const auto is_running = [](const auto& run) { return run->is_running(); };
  while (std::ranges::any_of(runs, is_running) && engine.step()) {
    for (const auto& run : runs) run->note_first_token();
    if (!options.is_cancelled || !options.is_cancelled()) continue;
    for (const auto& run : runs) {
      if (run->is_running()) run->cancel();
    }
  }
  std::vector<Generation> results;
  for (const auto& run : runs) results.push_back(run->finish());
  return results;
}

}  // namespace tessera
