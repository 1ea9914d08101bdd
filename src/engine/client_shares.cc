#include "engine/client_shares.h"

#include <algorithm>
#include <utility>

namespace tessera {

void ClientShares::add(const Sequence& sequence) {
  Client& client = clients_[sequence.request.client];
  ++(sequence.is_decoding() ? client.decoding : client.prompts);
}

void ClientShares::divide() {
  const int nobody = std::numeric_limits<int>::max() - weight_rows_;
  int least = nobody, second = nobody;  // rows of the answers of the client with the fewest
  const Client* fewest = nullptr;
  for (const auto& [name, client] : clients_) {
    if (client.decoding == 0) continue;
    if (client.decoding < least) {
      second = std::exchange(least, client.decoding);
      fewest = &client;
    } else {
      second = std::min(second, client.decoding);
    }
  }
  for (auto& [name, client] : clients_) {
    client.all = weight_rows_ + (&client == fewest ? second : least);
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
