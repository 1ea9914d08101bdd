#include "engine/client_shares.h"

#include <algorithm>

namespace tessera {

void ClientShares::add(const Sequence& sequence) {
  Client& client = clients_[sequence.request.client];
  ++(sequence.is_decoding() ? client.decoding : client.prompts);
}

void ClientShares::divide() {
  for (auto& [name, client] : clients_) {
    for (const auto& [other_name, other] : clients_) {
      if (other_name == name || other.decoding == 0) continue;
      client.all = std::min(client.all, kWeightRows + other.decoding);
    }
    client.answers = client.prompts > 0 ? client.all - client.all / 2 : client.all;
  }
}

void ClientShares::take_for_answers(const Sequence& sequence, int rows) {
  Client& client = clients_.at(sequence.request.client);
  client.answers -= rows;
  client.all -= rows;
}

void ClientShares::take_for_prompts(const Sequence& sequence, int rows) {
  clients_.at(sequence.request.client).all -= rows;
}

int ClientShares::with_prompts() const {
  return static_cast<int>(
      std::ranges::count_if(clients_, [](const auto& c) { return c.second.prompts > 0; }));
}

}  // namespace tessera
