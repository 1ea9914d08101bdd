// The engine's part in beam searches: what of them it takes, and when their groups go on.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/engine.h"

namespace tessera {

// Blocks for all beams at a length of `longest` tokens, prompt included, if they share no more than
// the prompt's whole blocks; one more, as a block is copied before the old one is given back. So
// beams never have to wait for each other's blocks.
int Engine::beam_blocks(const Request& request, int longest) const {
  const bool shares = request.prompt_logprobs_from == 0;  // else the first one computes its own
  const int shared = shares ? static_cast<int>(request.prompt.size()) / kBlockTokens : 0;
  return shared + request.beams.width * (blocks_for(longest) - shared) + 1;
}

int Engine::longest_answer(const Request& request) const {
  const int context = model_.config().context, prompt = static_cast<int>(request.prompt.size());
  int longest = std::max(1, context + 1 - prompt);
  if (request.beams.width == 1) return longest;
  for (int tokens = blocks_for(context) * kBlockTokens; tokens > prompt; tokens -= kBlockTokens) {
    if (beam_blocks(request, std::min(tokens, context)) > pool_.capacity()) continue;
    // The last token of a full context is never read.
    if (tokens < context) longest = tokens - prompt;
    return longest;
  }
  return 1;
}

void Engine::validate_beams(const Request& request) const {
  const int width = request.beams.width;
  if (request.sampling.temperature != 0) {
    fail("the temperature is {}, but a beam search draws nothing: expected 0",
         request.sampling.temperature);
  }
  if (parse_decoder(request.decoder).kind != nullptr) {
    fail("the decoder is '{}', but a beam search takes {} only", request.decoder, kPlainDecoder);
  }
  if (request.pooling != Pooling::kNone) fail("an embedding takes no beam search");
  if (request.max_tokens == 0) fail("a beam search needs at least one token to generate");
  if (options_.sequences > 0 && width > options_.sequences) {
    fail("there are {} beams, but only {} sequences run at once", width, options_.sequences);
  }
  const int prompt = static_cast<int>(request.prompt.size());
  const int longest = prompt + std::min(request.max_tokens, model_.config().context - prompt);
  if (const int blocks = beam_blocks(request, longest); blocks > pool_.capacity()) {
    fail("{} beams of up to {} tokens need {} KV blocks, there are {}", width, longest, blocks,
         pool_.capacity());
  }
}

std::vector<std::shared_ptr<Sequence>> Engine::add_beams(Request request,
                                                         const std::shared_ptr<Sequence>& sibling) {
  validate(request);
  const int width = request.beams.width;
  if (width == 1) return {add(std::move(request), sibling)};
  Request other = request;
  other.on_tokens = nullptr;
  other.prompt_logprobs_from = 0;  // one of them is enough
  std::vector<std::shared_ptr<Sequence>> sequences;
  sequences.push_back(make_sequence(std::move(request), sibling));
  for (int i = 1; i < width; ++i) sequences.push_back(make_sequence(other, nullptr));
  const Sequence& first = *sequences.front();
  const Request& asked = first.request;
  const int most = std::min(asked.max_tokens,
                            model_.config().context + 1 - static_cast<int>(first.prompt_size()));
  const size_t end_tokens = asked.stop_tokens.size() + (asked.ignore_eos ? 0 : ends().size());
  groups_.push_back(
      std::make_unique<BeamGroup>(sequences, most, static_cast<int>(end_tokens), is_end_));
  scheduler_.add(sequences.front());
  return sequences;
}

void Engine::advance_groups() {
  std::vector<BeamGroup*> ready;
  for (const auto& group : groups_) {
    if (group->is_ready()) ready.push_back(group.get());
  }
  for (BeamGroup* group : ready) {
    try {
      const bool goes_on = group->advance();
      statistics_.generated_tokens += static_cast<uint64_t>(group->beams());
      if (goes_on) {
        for (auto& beam : group->take_started())
          scheduler_.add_beam(std::move(beam), *group->sequences().front());
      } else {
        end_group(*group, FinishReason::kNone);
      }
    } catch (...) {
      end_group(*group, FinishReason::kFailed, std::current_exception());
    }
  }
}

// `reason`: kNone if each of its sequences has its own.
void Engine::end_group(BeamGroup& group, FinishReason reason, std::exception_ptr failure) {
  const auto place = std::ranges::find(groups_, &group, &std::unique_ptr<BeamGroup>::get);
  const std::unique_ptr<BeamGroup> ended = std::move(*place);
  groups_.erase(place);
  for (const auto& sequence : ended->sequences()) {
    sequence->group = nullptr;
    if (reason != FinishReason::kNone) sequence->finished = reason;
    sequence->failure = failure;
    sequence->mask_work = nullptr;
    sequence->blocks.clear();
    sequence->computed = 0;
    if (reason != FinishReason::kNone || sequence->finished == FinishReason::kNoAnswer) continue;
    const auto answer = std::span(sequence->tokens).subspan(sequence->prompt_size());
    if (!sequence->request.on_tokens) continue;
    try {
      sequence->request.on_tokens(answer);
    } catch (...) {
      sequence->failure = std::current_exception();
      sequence->finished = FinishReason::kFailed;
    }
  }
}

}  // namespace tessera
