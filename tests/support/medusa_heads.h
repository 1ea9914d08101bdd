// Medusa heads for tiny models: made-up ones, and such as know an answer.
#pragma once

#include <cmath>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "model/flat_context.h"
#include "model/model.h"
#include "support/safetensors.h"

namespace tessera::test {

// In the layout of FasterDecoding, one layer each, with random weights.
inline std::string random_medusa_heads(int heads, int embedding, int vocabulary, uint32_t seed) {
  std::minstd_rand random(seed);
  std::uniform_real_distribution<float> value(-0.1F, 0.1F);
  const auto values = [&](int count) {
    std::vector<float> all(static_cast<size_t>(count));
    for (float& v : all) v = value(random);
    return all;
  };
  const auto d = static_cast<uint64_t>(embedding), v = static_cast<uint64_t>(vocabulary);
  std::vector<NamedTensor> tensors;
  for (int h = 0; h < heads; ++h) {
    const std::string head = std::to_string(h);
    tensors.push_back(
        float_tensor(head + ".0.linear.weight", {d, d}, values(embedding * embedding)));
    tensors.push_back(float_tensor(head + ".0.linear.bias", {d}, values(embedding)));
    tensors.push_back(float_tensor(head + ".1.weight", {v, d}, values(vocabulary * embedding)));
  }
  return safetensors_of(tensors);
}

// A text, and its token from whose hidden state on heads are to know what follows.
struct KnownText {
  std::vector<Token> tokens;
  int first = 0;
};

// Heads that say what follows in the texts: the least matrices that map each of their hidden states
// to the token two, three... places behind. There are no more such states than the model's
// embedding is long.
inline std::string oracle_medusa_heads(int heads, Model& model, std::span<const KnownText> texts) {
  const int embedding = model.config().embedding, vocabulary = model.config().vocabulary;
  std::vector<float> states;
  std::vector<std::span<const Token>> following;  // behind each state
  for (const auto& [tokens, first] : texts) {
    const int rows = static_cast<int>(tokens.size());
    FlatContext context(model, rows, KvFormat::kF16);
    Batch batch;
    batch.add_chain(tokens, 0, context.block_table);
    model.forward(batch, *context.kv);
    std::vector<float> some;
    model.backend().download(model.hidden_states(first, rows - first)).copy(some);
    states.insert(states.end(), some.begin(), some.end());
    for (int i = first; i < rows; ++i) following.push_back(std::span(tokens).subspan(i + 1));
  }
  const int count = static_cast<int>(following.size());
  const auto state = [&](int i) { return states.data() + static_cast<size_t>(i) * embedding; };

  // inverse = (H H^T)^-1 by Gauss and Jordan, H the states.
  const auto n = static_cast<size_t>(count);
  std::vector<std::vector<double>> rows(n, std::vector<double>(2 * n));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (int k = 0; k < embedding; ++k)
        rows[i][j] +=
            static_cast<double>(state(static_cast<int>(i))[k]) * state(static_cast<int>(j))[k];
    }
    rows[i][i] *= 1 + 1e-9;
    rows[i][n + i] = 1;
  }
  for (size_t pivot = 0; pivot < n; ++pivot) {
    size_t best = pivot;
    for (size_t i = pivot; i < n; ++i) {
      if (std::abs(rows[i][pivot]) > std::abs(rows[best][pivot])) best = i;
    }
    std::swap(rows[pivot], rows[best]);
    const double scale = rows[pivot][pivot];
    for (double& x : rows[pivot]) x /= scale;
    for (size_t i = 0; i < n; ++i) {
      if (i == pivot) continue;
      const double factor = rows[i][pivot];
      for (size_t j = 0; j < 2 * n; ++j) rows[i][j] -= factor * rows[pivot][j];
    }
  }

  const auto d = static_cast<uint64_t>(embedding), v = static_cast<uint64_t>(vocabulary);
  std::vector<NamedTensor> tensors;
  for (int h = 0; h < heads; ++h) {
    const std::string head = std::to_string(h);
    std::vector<double> output(static_cast<size_t>(vocabulary) * embedding);
    for (int i = 0; i < count; ++i) {
      const auto after = following[static_cast<size_t>(i)];
      const auto target = static_cast<size_t>(h + 1);
      if (target >= after.size()) continue;
      double* row = output.data() + static_cast<size_t>(after[target]) * embedding;
      for (size_t j = 0; j < n; ++j) {
        for (int k = 0; k < embedding; ++k)  // 100: surer than any noise
          row[k] += 100 * rows[static_cast<size_t>(i)][n + j] * state(static_cast<int>(j))[k];
      }
    }
    tensors.push_back(float_tensor(head + ".0.linear.weight", {d, d}, std::vector<float>(d * d)));
    tensors.push_back(float_tensor(head + ".0.linear.bias", {d}, std::vector<float>(d)));
    tensors.push_back(float_tensor(head + ".1.weight", {v, d}, {output.begin(), output.end()}));
  }
  return safetensors_of(tensors);
}

}  // namespace tessera::test
