#include "evaluate/workload.h"

#include <algorithm>

#include "decode/random.h"

namespace tessera {

Workload::Workload(Model& model, int tokens, KvFormat format)
    : model_(model), context_(model, tokens, format), tokens_(static_cast<size_t>(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    tokens_[i] = static_cast<Token>(philox({static_cast<uint32_t>(i), 0, 0, 0}, 0)[0] %
                                    static_cast<uint32_t>(model.config().vocabulary));
  }
}

void Workload::read(int first, int count, int rows, bool all_logits,
                    const std::function<void(Tensor, int)>& on_logits) {
  for (int done = 0; done < count; done += rows) {
    const int n = std::min(rows, count - done);
    Batch batch;
    batch.add_chain(tokens().subspan(static_cast<size_t>(first + done), static_cast<size_t>(n)),
                    first + done, context_.block_table);
    for (int r = all_logits ? 0 : n - 1; r < n; ++r) batch.wanted.push_back(r);
    const Tensor logits = model_.forward(batch, *context_.kv);
    if (on_logits) on_logits(logits, first + done + n);
  }
}

}  // namespace tessera
