#include "support/reference_beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace tessera::test {
namespace {

struct Text {
  std::vector<Token> answer;
  double sum = 0;
  bool ended = false;
};

std::vector<double> log_softmax(const std::vector<float>& logits) {
  const double best = *std::ranges::max_element(logits);
  double total = 0;
  for (const float x : logits) total += std::exp(x - best);
  std::vector<double> result;
  for (const float x : logits) result.push_back(x - best - std::log(total));
  return result;
}

// What transformers call logits processors, which see log-probabilities in a beam search.
void process(std::vector<double>& logprobs, const Request& request,
             const std::vector<Token>& answer) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  const SamplingOptions& options = request.sampling;
  std::set<Token> seen(request.prompt.begin(), request.prompt.end());
  seen.insert(answer.begin(), answer.end());
  if (options.repetition_penalty != 1) {
    for (const Token token : seen) {
      double& x = logprobs[static_cast<size_t>(token)];
      x = x > 0 ? x / options.repetition_penalty : x * options.repetition_penalty;
    }
  }
  std::map<Token, int> counts;
  for (const Token token : answer) ++counts[token];
  for (const auto& [token, count] : counts) {
    logprobs[static_cast<size_t>(token)] -=
        options.presence_penalty + options.frequency_penalty * static_cast<float>(count);
  }
  for (const auto& [token, bias] : options.logit_bias) logprobs[static_cast<size_t>(token)] += bias;
  if (request.constraint != nullptr) {
    const auto constraint = request.constraint->start();
    for (const Token token : answer) constraint->accept(token);
    const auto allowed = constraint->allowed();
    for (size_t token = 0; token < logprobs.size(); ++token) {
      if (!is_allowed(allowed, static_cast<Token>(token))) logprobs[token] = kNothing;
    }
  }
  for (const Ban& ban : request.bans) {  // of single tokens
    if (answer.size() < ban.until) logprobs[static_cast<size_t>(ban.tokens[0])] = kNothing;
  }
}

}  // namespace

std::vector<ReferenceBeam> reference_beam_search(
    const Request& request, int most_tokens, int ends, const std::function<bool(Token)>& is_end,
    const std::function<std::vector<float>(const std::vector<Token>&)>& logits_of) {
  const auto beams = static_cast<size_t>(request.beams.width);
  std::vector<Text> running = {{}};
  std::vector<ReferenceBeam> finished;
  for (int length = 1;; ++length) {
    std::vector<Text> continuations;
    for (const Text& text : running) {
      std::vector<Token> whole = request.prompt;
      whole.insert(whole.end(), text.answer.begin(), text.answer.end());
      auto logprobs = log_softmax(logits_of(whole));
      process(logprobs, request, text.answer);
      for (size_t token = 0; token < logprobs.size(); ++token) {
        if (!std::isfinite(logprobs[token])) continue;
        Text& longer = continuations.emplace_back(text);
        longer.answer.push_back(static_cast<Token>(token));
        longer.sum += logprobs[token];
        longer.ended = length == most_tokens || is_end(static_cast<Token>(token)) ||
                       (request.ends_text && request.ends_text(longer.answer));
      }
    }
    std::ranges::stable_sort(continuations, std::ranges::greater(), &Text::sum);
    const size_t kept = beams * static_cast<size_t>(std::max(2, 1 + ends));
    if (continuations.size() > kept) continuations.resize(kept);

    running.clear();
    const double penalty = std::pow(length, request.beams.length_penalty);
    for (size_t i = 0; i < continuations.size(); ++i) {
      const Text& text = continuations[i];
      if (!text.ended && running.size() < beams) running.push_back(text);
      if (text.ended && i < beams) finished.push_back({text.answer, text.sum / penalty});
    }
    std::ranges::stable_sort(finished, std::ranges::greater(), &ReferenceBeam::score);
    if (finished.size() > beams) finished.resize(beams);

    if (running.empty()) return finished;
    if (finished.size() < beams) continue;
    if (request.beams.early_stopping == EarlyStopping::kYes) return finished;
    const bool never = request.beams.early_stopping == EarlyStopping::kNever;
    const int hoped = never && request.beams.length_penalty > 0 ? most_tokens : length;
    const double best = running[0].sum / std::pow(hoped, request.beams.length_penalty);
    if (best <= finished.back().score) return finished;
  }
}

}  // namespace tessera::test
