#include "evaluate/decoder_bench.h"

#include <algorithm>
#include <memory>
#include <span>

#include "base/timer.h"

namespace tessera {
namespace {

// Answers to a few prompts that were asked at once.
struct Round {
  std::vector<std::shared_ptr<Sequence>> sequences;
  double seconds = 0;  // while all answers went on
  int tokens = 0;      // that came meanwhile
};

Round answer(Engine& engine, std::span<const BenchPrompt> prompts, const std::string& decoder,
             double temperature, int max_tokens) {
  Round round;
  for (const BenchPrompt& prompt : prompts) {
    Request request{.prompt = prompt.tokens, .max_tokens = max_tokens};
    request.sampling.temperature = static_cast<float>(temperature);
    request.sampling.seed = 1;
    request.decoder = decoder;
    request.prediction = prompt.prediction;
    round.sequences.push_back(engine.add(std::move(request)));
  }
  const auto generated = [&] {
    int all = 0;
    for (const auto& sequence : round.sequences) all += sequence->generated();
    return all;
  };
  const auto all_go_on = [&] {
    return std::ranges::all_of(round.sequences, [](const auto& sequence) {
      return sequence->generated() > 0 && sequence->finished == FinishReason::kNone;
    });
  };
  bool more = true;
  while (more) {
    const bool counts = all_go_on();
    const int before = generated();
    const Timer timer;
    more = engine.step();
    if (!counts) continue;
    round.seconds += timer.seconds();
    round.tokens += generated() - before;
  }
  for (const auto& sequence : round.sequences) {
    if (sequence->failure) std::rethrow_exception(sequence->failure);
  }
  return round;
}

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

  Round ask(std::span<const BenchPrompt> prompts, double temperature, int max_tokens) {
    return answer(*engine_, prompts, decoder_, temperature, max_tokens);
  }
  void count(const Round& round, const Round& plain) {
    seconds_ += round.seconds;
    plain_seconds_ += plain.tokens > 0 ? plain.seconds / plain.tokens * round.tokens : 0;
    tokens_ += round.tokens;
    for (size_t i = 0; i < round.sequences.size(); ++i) {
      const Sequence& sequence = *round.sequences[i];
      if (sequence.tokens != plain.sequences[i]->tokens) ++different_;
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
      for (const std::string& decoder : decoders) runners.emplace_back(make_engine(), decoder);
      int looped = 0;
      const auto clients = static_cast<size_t>(options.clients);
      for (size_t first = 0; first < set.prompts.size(); first += clients) {
        const auto prompts =
            std::span(set.prompts).subspan(first, std::min(clients, set.prompts.size() - first));
        std::vector<Round> rounds(runners.size());
        for (size_t i = 0; i < runners.size(); ++i) {
          const size_t turn = (i + first / clients) % runners.size();
          rounds[turn] = runners[turn].ask(prompts, temperature, options.max_tokens);
        }
        const auto loops = std::ranges::count_if(
            rounds[0].sequences, [](const auto& s) { return is_loop(answer_of(*s)); });
        looped += static_cast<int>(loops);
        // Company shares its steps: one that loops would speak for all.
        if (loops > 0 && clients == 1) continue;
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
