#include "model/medusa_heads.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/assert.h"
#include "base/error.h"
#include "base/printable.h"
#include "model/loader.h"

namespace tessera {
namespace {

int bounded_fact(const Checkpoint& checkpoint, std::string_view name) {
  const int64_t value = checkpoint.facts().require_int(name);
  if (value < 1 || value > MedusaHeads::kMost) {
    fail("key '{}' is {}, expected 1 to {}", checkpoint.facts().key_of(name), value,
         MedusaHeads::kMost);
  }
  return static_cast<int>(value);
}

}  // namespace

MedusaHeads::MedusaHeads(const Checkpoint& checkpoint, Model& model) : model_(model) {
  using enum TensorRole;
  const std::string file = printable(checkpoint.paths().at(0).string(), 400);
  const std::string kind = checkpoint.facts().get_string("general.architecture").value_or("");
  if (kind != "medusa")
    fail("'{}' holds no Medusa heads: its architecture is '{}'", file, printable(kind));
  heads_.resize(static_cast<size_t>(bounded_fact(checkpoint, "heads")));
  const int layers = bounded_fact(checkpoint, "layers"), embedding = model.config().embedding;

  const auto rows_of = [&](TensorPlace place) {
    const StoredTensor* tensor = checkpoint.find(place);
    return tensor == nullptr ? 0 : static_cast<int>(std::min<uint64_t>(tensor->rows(), 1 << 30));
  };
  const int shared = rows_of({kOutput});
  const int own = std::max(shared, rows_of({kMedusaOutput, 0}));
  outputs_ = own > 0 ? own : model.logits();
  if (outputs_ > model.config().vocabulary) {
    fail("the heads of '{}' know {} tokens, the model has {}", file, outputs_,
         model.config().vocabulary);
  }

  const Loader::Progress no_progress;
  Loader loader(checkpoint, model.backend(), no_progress);
  if (shared > 0) loader.matrix("medusa output", {{kOutput, outputs_}}, embedding, output_);
  for (int h = 0; h < heads(); ++h) {
    Head& head = heads_[static_cast<size_t>(h)];
    for (int layer = 0; layer < layers; ++layer) {
      Block& block = head.blocks.emplace_back();
      loader.enter(h * layers + layer);
      loader.matrix("medusa block", {{kMedusaBlock, embedding}}, embedding, block.weight);
      loader.vector({{kMedusaBlockBias, embedding}}, TensorVisitor::Presence::kOptional,
                    block.bias);
    }
    loader.enter(h);
    if (rows_of({kMedusaOutput, h}) > 0) {
      loader.matrix("medusa output", {{kMedusaOutput, outputs_}}, embedding, head.output);
    } else if (shared == 0 && outputs_ != model.logits()) {
      fail("'{}' has no output matrix for head {}", file, h);
    }
  }
  map_.emplace(checkpoint, outputs_, model.config().vocabulary);
  read_hit_shares(checkpoint.facts());
  loader.mark_taken({kTokenMap});
  loader.require_all_taken();
  weight_bytes_ = loader.matrix_bytes();

  Backend& backend = model.backend();
  states_ = backend.allocate(heads() * kRows, embedding);
  blocked_ = backend.allocate(kRows, embedding);
  logits_ = backend.allocate(heads() * kRows, outputs_);
}

void MedusaHeads::read_hit_shares(const Facts& facts) {
  const auto parts = facts.get_ints(kHitShares);
  if (!parts) return;
  const size_t expected = heads_.size() * kRanks;
  if (parts->size() != expected) {
    fail("key '{}' has {} values, expected {} for each of {} heads", facts.key_of(kHitShares),
         parts->size(), kRanks, heads_.size());
  }
  hit_shares_.resize(heads_.size());
  for (size_t i = 0; i < expected; ++i) {
    const int64_t part = (*parts)[i];
    if (part < 0 || part > kWholeHitShare) {
      fail("key '{}' has the value {}, expected 0 to {}", facts.key_of(kHitShares), part,
           kWholeHitShare);
    }
    hit_shares_[i / kRanks][i % kRanks] =
        static_cast<float>(part) / static_cast<float>(kWholeHitShare);
  }
}

void MedusaHeads::run_blocks(const Head& head, Tensor x) {
  Backend& backend = model_.backend();
  const Tensor blocked = blocked_.top(x.rows);
  for (const Block& block : head.blocks) {
    backend.linear(*block.weight, x, block.bias.get(), blocked);
    backend.on_host(std::array{x, blocked}, x, [](std::span<const HostRows> in, HostTensor out) {
      for (int r = 0; r < out.rows; ++r) {
        const auto before = in[0].row(r), value = in[1].row(r);
        for (size_t i = 0; i < value.size(); ++i)
          out.row(r)[i] = before[i] + value[i] / (1 + std::exp(-value[i]));
      }
    });
  }
}

HostRows MedusaHeads::forward(std::span<const float> hidden) {
  const int rows = static_cast<int>(hidden.size()) / states_.columns;
  TESSERA_ASSERT(rows <= kRows);
  Backend& backend = model_.backend();
  for (int h = 0; h < heads(); ++h) {
    const Tensor x = states_.middle(h * rows, rows);
    backend.upload(hidden, x);
    run_blocks(heads_[static_cast<size_t>(h)], x);
  }
  // Heads without a matrix of their own are rows of one product: it is read once.
  for (int first = 0; first < heads();) {
    const Matrix* own = heads_[static_cast<size_t>(first)].output.get();
    int last = first + 1;
    while (own == nullptr && last < heads() && heads_[static_cast<size_t>(last)].output == nullptr)
      ++last;
    const Tensor x = states_.middle(first * rows, (last - first) * rows);
    const Tensor out = logits_.middle(first * rows, (last - first) * rows);
    if (own != nullptr || output_ != nullptr) {
      backend.linear(own != nullptr ? *own : *output_, x, nullptr, out);
    } else {
      model_.project(x, out);
    }
    first = last;
  }
  return map_->spread(backend.download(logits_.top(heads() * rows)));
}

}  // namespace tessera
