#include "evaluate/decoder_bench.h"

#include <algorithm>
#include <memory>
#include <span>

#include "base/timer.h"

namespace tessera {
namespace {

// Tokens of a client that come before it is another decoder's turn.
constexpr int kTurnTokens = 32;

// The answers of one decoder to a few prompts, so many at once as there are clients: where one
// ends, the next begins.
class Round {
 public:
  // All must outlive it.
  Round(Engine& engine, std::span<const BenchPrompt> prompts, const std::string& decoder,
        double temperature, const DecoderBenchOptions& options)
      : engine_(engine),
        prompts_(prompts),
        decoder_(decoder),
        temperature_(temperature),
        options_(options) {}

  // Goes on until some tokens have come. False if all answers have ended.
  bool take_turn() {
    const int until = generated() + kTurnTokens * options_.clients;
    while (more_ && generated() < until) step();
    if (more_) return true;
    for (const auto& sequence : sequences_) {
      if (sequence->failure) std::rethrow_exception(sequence->failure);
    }
    return false;
  }

  std::span<const std::shared_ptr<Sequence>> sequences() const { return sequences_; }
  double seconds() const { return seconds_; }  // while all clients had an answer that went on
  int tokens() const { return tokens_; }       // that came meanwhile

 private:
  void step() {
    while (sequences_.size() < prompts_.size() && count(is_unfinished) < options_.clients)
      ask(prompts_[sequences_.size()]);
    const auto goes_on = [](const Sequence& s) { return is_unfinished(s) && s.generated() > 0; };
    const bool counts = count(goes_on) == options_.clients;
    const int before = generated();
    const Timer timer;
    more_ = engine_.step();
    if (!counts) return;
    seconds_ += timer.seconds();
    tokens_ += generated() - before;
  }
  void ask(const BenchPrompt& prompt) {
    Request request{.prompt = prompt.tokens, .max_tokens = options_.max_tokens};
    request.sampling.temperature = static_cast<float>(temperature_);
    request.sampling.seed = 1;
    request.decoder = decoder_;
    request.prediction = prompt.prediction;
    request.constraint = prompt.constraint;
    request.adapters = engine_.model().default_adapters();
    sequences_.push_back(engine_.add(std::move(request)));
  }
  static bool is_unfinished(const Sequence& s) { return s.finished == FinishReason::kNone; }
  template <typename Is>
  int count(Is is) const {
    return static_cast<int>(
        std::ranges::count_if(sequences_, [&](const auto& s) { return is(*s); }));
  }
  int generated() const {
    int all = 0;
    for (const auto& sequence : sequences_) all += sequence->generated();
    return all;
  }

  Engine& engine_;
  std::span<const BenchPrompt> prompts_;
  const std::string& decoder_;
  double temperature_;
  const DecoderBenchOptions& options_;
  std::vector<std::shared_ptr<Sequence>> sequences_;
  bool more_ = true;
  double seconds_ = 0;
  int tokens_ = 0;
};

// Whether it came to say the same few tokens again and again.
bool is_loop(std::span<const Token> answer) {
  constexpr size_t kLongestPeriod = 40, kRepetitions = 4, kLeast = 32;
  for (size_t period = 1; period <= kLongestPeriod; ++period) {
    const size_t needed = std::max(kLeast, kRepetitions * period);
    size_t same = 0;  // tokens in a row that came one period before, too
    for (size_t i = period; i < answer.size(); ++i) {
      same = answer[i] == answer[i - period] ? same + 1 : 0;
      if (same >= needed) return true;
    }
  }
  return false;
}

std::span<const Token> answer_of(const Sequence& sequence) {
  return std::span(sequence.tokens).subspan(sequence.prompt_size());
}

// One decoder over one set.
class Runner {
 public:
  Runner(std::unique_ptr<Engine> engine, std::string decoder)
      : engine_(std::move(engine)), decoder_(std::move(decoder)) {}

  Round ask(std::span<const BenchPrompt> prompts, double temperature,
            const DecoderBenchOptions& options) {
    return {*engine_, prompts, decoder_, temperature, options};
  }
  void count(const Round& round, const Round& plain) {
    seconds_ += round.seconds();
    plain_seconds_ += plain.tokens() > 0 ? plain.seconds() / plain.tokens() * round.tokens() : 0;
    tokens_ += round.tokens();
    for (size_t i = 0; i < round.sequences().size(); ++i) {
      const Sequence& sequence = *round.sequences()[i];
      if (sequence.tokens != plain.sequences()[i]->tokens) ++different_;
      generated_ += sequence.generated();
      steps_ += sequence.statistics.steps;
      const auto& depths = sequence.statistics.depths;
      if (depths_.size() < depths.size()) depths_.resize(depths.size());
      for (size_t d = 0; d < depths.size(); ++d) {
        depths_[d].drafted += depths[d].drafted;
        depths_[d].accepted += depths[d].accepted;
      }
    }
  }
  DecoderScore score() const {
    DecoderScore score;
    score.decoder = decoder_;
    score.different = different_;
    if (seconds_ > 0) {
      score.tokens_per_second = tokens_ / seconds_;
      score.speed_up = plain_seconds_ / seconds_;
    }
    if (steps_ > 0) score.tokens_per_step = static_cast<double>(generated_) / steps_;
    for (const auto& [drafted, accepted] : depths_)
      score.acceptance.push_back(static_cast<double>(accepted) / drafted);
    return score;
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::string decoder_;
  double seconds_ = 0, plain_seconds_ = 0;
  int tokens_ = 0, generated_ = 0, steps_ = 0, different_ = 0;
  std::vector<SequenceStatistics::Depth> depths_;
};

// To their ends. Who begins changes from turn to turn.
void run_by_turns(std::span<Round> rounds, size_t beginner) {
  for (bool more = true; more; ++beginner) {
    more = false;
    for (size_t i = 0; i < rounds.size(); ++i)
      more |= rounds[(beginner + i) % rounds.size()].take_turn();
  }
}

}  // namespace

std::vector<DecoderScore> run_decoder_bench(
    const std::function<std::unique_ptr<Engine>()>& make_engine, const std::vector<PromptSet>& sets,
    const DecoderBenchOptions& options, const std::function<void(const DecoderScore&)>& on_score) {
  std::vector<DecoderScore> scores;
  std::vector<std::string> decoders = {std::string(kPlainDecoder)};
  std::ranges::remove_copy(options.decoders, std::back_inserter(decoders), kPlainDecoder);
  for (const PromptSet& set : sets) {
    for (const double temperature : options.temperatures) {
      std::vector<Runner> runners;
      runners.reserve(decoders.size());
      for (const std::string& decoder : decoders) runners.emplace_back(make_engine(), decoder);
      int looped = 0;
      const size_t together = options.clients == 1 ? 1 : set.prompts.size();
      for (size_t first = 0; first < set.prompts.size(); first += together) {
        const auto prompts =
            std::span(set.prompts).subspan(first, std::min(together, set.prompts.size() - first));
        std::vector<Round> rounds;
        rounds.reserve(runners.size());
        for (Runner& runner : runners) rounds.push_back(runner.ask(prompts, temperature, options));
        run_by_turns(rounds, first / together);
        const auto loops = std::ranges::count_if(
            rounds[0].sequences(), [](const auto& s) { return is_loop(answer_of(*s)); });
        looped += static_cast<int>(loops);
        // Company shares its steps: one that loops would speak for all.
        if (loops > 0 && options.clients == 1) continue;
        for (size_t i = 0; i < runners.size(); ++i) runners[i].count(rounds[i], rounds[0]);
      }
      for (const Runner& runner : runners) {
        scores.push_back(runner.score());
        scores.back().set = set.name;
        scores.back().temperature = temperature;
        scores.back().looped = looped;
        if (on_score) on_score(scores.back());
      }
    }
  }
  return scores;
}

}  // namespace tessera
