#include "evaluate/workload.h"

#include "decode/random.h"

namespace tessera {

Workload::Workload(Model& model, int tokens, KvFormat format)
    : reader_(model, tokens, format), tokens_(static_cast<size_t>(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    tokens_[i] = static_cast<Token>(philox({static_cast<uint32_t>(i), 0, 0, 0}, 0)[0] %
                                    static_cast<uint32_t>(model.config().vocabulary));
  }
}

void Workload::read(int first, int count, int rows, Reader::Logits wanted,
                    FunctionRef<void(HostRows, int)> on_logits) {
  reader_.rewind(first);
  const auto text = tokens().subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  reader_.read(text, wanted, on_logits, rows);
}

}  // namespace tessera
