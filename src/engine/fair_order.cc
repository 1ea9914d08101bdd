#include "engine/fair_order.h"

#include <algorithm>

namespace tessera {

int64_t FairOrder::expected_cost(const Sequence& sequence) {
  const int answer = sequence.is_embedding() ? 0 : sequence.request.max_tokens;
  return kLeastCost + static_cast<int64_t>(sequence.prompt_size()) + std::min(answer, kUsualAnswer);
}

int64_t FairOrder::real_cost(const Sequence& sequence) {
  if (!sequence.admitted) return kLeastCost;
  const int prompt = static_cast<int>(sequence.prompt_size()) - sequence.statistics.cached_tokens;
  return kLeastCost + std::max(0, prompt) + sequence.generated();
}

void FairOrder::enter(Sequence& sequence, const Sequence* first) {
  ++now_;
  if (first != nullptr) now_ = std::max(now_, first->turn);
  std::erase_if(clients_, [&](const auto& client) { return client.second.end <= now_; });
  Client& client = clients_[sequence.request.client];
  sequence.turn = client.last_turn = std::max(now_, client.end);
  sequence.charged = expected_cost(sequence);
  client.end = sequence.turn + sequence.charged;
}

int64_t FairOrder::charge(Sequence& sequence) {
  if (real_cost(sequence) <= sequence.charged) return 0;
  const auto found = clients_.find(sequence.request.client);
  if (found == clients_.end()) return 0;
  const int64_t more = std::max(kUsualAnswer, sequence.size() / kPartCharged);
  sequence.charged += more;
  found->second.end += more;
  found->second.last_turn += more;
  return more;
}

void FairOrder::leave(const Sequence& sequence) {
  const auto found = clients_.find(sequence.request.client);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const int64_t end = client.end + real_cost(sequence) - sequence.charged;
  client.end = std::max(end, client.last_turn);
}

}  // namespace tessera
