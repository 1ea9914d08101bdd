#include "model/medusa_heads.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

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

// Whole numbers of 32 or 64 bits.
std::vector<int64_t> read_integers(const StoredTensor& tensor) {
  const size_t size = tensor.format->name == "I64" ? 8 : 4;
  if (tensor.format->name != "I64" && tensor.format->name != "I32")
    fail("tensor '{}' has format {}, expected I64 or I32", tensor.name, tensor.format->name);
  std::vector<int64_t> values;
  for (size_t at = 0; at < tensor.bytes.size(); at += size) {
    int64_t wide = 0;
    int32_t narrow = 0;
    if (size == 8) {
      std::memcpy(&wide, tensor.bytes.data() + at, size);
    } else {
      std::memcpy(&narrow, tensor.bytes.data() + at, size);
    }
    values.push_back(size == 8 ? wide : narrow);
  }
  return values;
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
  read_token_map(checkpoint);
  loader.mark_taken({kTokenMap});
  loader.require_all_taken();
  weight_bytes_ = loader.matrix_bytes();

  Backend& backend = model.backend();
  states_ = backend.allocate(heads() * kRows, embedding);
  blocked_ = backend.allocate(kRows, embedding);
  logits_ = backend.allocate(heads() * kRows, outputs_);
}

void MedusaHeads::read_token_map(const Checkpoint& checkpoint) {
  const StoredTensor* map = checkpoint.find({TensorRole::kTokenMap});
  if (map == nullptr) return;
  if (map->elements() != static_cast<uint64_t>(outputs_)) {
    fail("tensor '{}' names {} tokens, the heads' outputs have {}", printable(map->name),
         map->elements(), outputs_);
  }
  for (const int64_t token : read_integers(*map)) {
    if (token < 0 || token >= model_.config().vocabulary) {
      fail("tensor '{}' names the token {}, the vocabulary has {}", printable(map->name), token,
           model_.config().vocabulary);
    }
    tokens_.push_back(static_cast<Token>(token));
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
  return spread(backend.download(logits_.top(heads() * rows)));
}

HostRows MedusaHeads::spread(HostRows logits) {
  const int vocabulary = model_.config().vocabulary;
  if (tokens_.empty() && outputs_ == vocabulary) return logits;
  spread_.assign(static_cast<size_t>(logits.rows) * vocabulary,
                 -std::numeric_limits<float>::infinity());
  for (int r = 0; r < logits.rows; ++r) {
    const auto from = logits.row(r);
    float* to = spread_.data() + static_cast<size_t>(r) * vocabulary;
    for (size_t i = 0; i < from.size(); ++i)
      to[tokens_.empty() ? i : static_cast<size_t>(tokens_[i])] = from[i];
  }
  return {spread_.data(), logits.rows, vocabulary, vocabulary};
}

}  // namespace tessera
