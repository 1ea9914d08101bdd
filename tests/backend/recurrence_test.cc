// Recurrent layers against doubles, and the same bits however a text is cut into steps.
#include "backend/cpu/recurrence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/simd/target.h"
#include "support/all_targets.h"
#include "support/random_floats.h"

namespace tessera::cpu {
namespace {

// Rows of floats without gaps.
struct Rows {
  Rows(int rows, int columns, uint64_t seed)
      : columns(columns), values(random_floats(static_cast<size_t>(rows) * columns, seed)) {}
  HostTensor tensor() {
    return {values.data(), static_cast<int>(values.size()) / columns, columns, columns};
  }
  HostTensor part(int first, int rows) {
    return {values.data() + static_cast<size_t>(first) * columns, rows, columns, columns};
  }
  int columns;
  Floats values;
};

constexpr int kRows = 23, kStates = 8;

// What a text of kRows tokens brings to a layer of that shape, and what comes out.
struct Text {
  explicit Text(const StateLayer& shape)
      : shape(shape),
        queries(kRows, shape.key_heads * shape.key_dim, 1),
        keys(kRows, shape.key_heads * shape.key_dim, 2),
        values(kRows, shape.heads * shape.value_dim, 3),
        decays(kRows, shape.heads, 4),
        rates(kRows, shape.heads, 5),
        inputs(kRows, shape.channels, 6),
        filter(shape.taps, shape.channels, 7),
        bias(1, shape.channels, 8),
        out(kRows, shape.heads * shape.value_dim, 9),
        convolved(kRows, shape.channels, 10) {
    for (float& decay : decays.values) decay = 1 / (1 + std::exp(-2 * decay));
    for (float& rate : rates.values) rate = 1 / (1 + std::exp(-rate));
    for (float& key : keys.values) key /= std::sqrt(static_cast<float>(shape.key_dim));
  }
  KvShape kv_shape() const {
    KvShape kv;
    kv.layers = {{}, {.state = shape}};
    kv.states = kStates;
    kv.rows = kRows;
    return kv;
  }
  // Rows [first, first + run.rows) of the text as one step.
  void step(ThreadPool& pool, StateStore& store, int first, StateRun run, bool delta_rule) {
    run.first_row = 0;
    const int rows = run.rows;
    convolve(pool, store, 1, filter.values, bias.values, std::span(&run, 1),
             inputs.part(first, rows), convolved.part(first, rows));
    recur(pool, store, {.layer = 1, .delta_rule = delta_rule}, std::span(&run, 1),
          {.queries = queries.part(first, rows),
           .keys = keys.part(first, rows),
           .values = values.part(first, rows),
           .decays = decays.part(first, rows),
           .rates = rates.part(first, rows)},
          out.part(first, rows));
  }

  StateLayer shape;
  Rows queries, keys, values, decays, rates, inputs, filter, bias, out, convolved;
};

std::vector<StateLayer> shapes() {
  std::vector<StateLayer> all;
  for (const int value_dim : {5, 64, 100}) {
    for (const bool grouped : {false, true}) {
      all.push_back({.channels = 37,
                     .taps = value_dim == 5 ? 2 : 4,
                     .heads = 4,
                     .key_dim = 12,
                     .value_dim = value_dim,
                     .key_heads = 2,
                     .grouped = grouped});
    }
  }
  return all;
}

std::vector<double> expected_outputs(Text& text, bool delta_rule) {
  const StateLayer& s = text.shape;
  std::vector<double> expected;
  std::vector<double> state(static_cast<size_t>(s.heads) * s.key_dim * s.value_dim);
  for (int r = 0; r < kRows; ++r) {
    for (int head = 0; head < s.heads; ++head) {
      const int key_head = s.grouped ? head / (s.heads / s.key_heads) : head % s.key_heads;
      const float *k = text.keys.tensor().row(r) + key_head * s.key_dim,
                  *q = text.queries.tensor().row(r) + key_head * s.key_dim;
      const double decay = text.decays.tensor().row(r)[head];
      for (int v = 0; v < s.value_dim; ++v) {
        const auto at = [&](int i) -> double& {
          return state[static_cast<size_t>((head * s.key_dim + i) * s.value_dim + v)];
        };
        double found = 0, result = 0;
        for (int i = 0; i < s.key_dim; ++i) found += decay * at(i) * k[i];
        double written = text.values.tensor().row(r)[head * s.value_dim + v];
        if (delta_rule) written -= found;
        written *= text.rates.tensor().row(r)[head];
        for (int i = 0; i < s.key_dim; ++i) {
          at(i) = decay * at(i) + k[i] * written;
          result += at(i) * q[i];
        }
        expected.push_back(result);
      }
    }
  }
  return expected;
}

TEST(RecurrenceTest, FollowsItsRule) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (const StateLayer& shape : shapes()) {
      for (const bool delta_rule : {false, true}) {
        Text text(shape);
        StateStore store(text.kv_shape());
        text.step(pool, store, 0, {.rows = kRows}, delta_rule);
        const std::vector<double> expected = expected_outputs(text, delta_rule);
        for (size_t i = 0; i < expected.size(); ++i)
          ASSERT_NEAR(text.out.values[i], expected[i], 1e-4) << i << " on " << target_name();
      }
    }
  });
}

TEST(RecurrenceTest, ConvolvesTheLastInputs) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (const StateLayer& shape : shapes()) {
      Text text(shape);
      StateStore store(text.kv_shape());
      text.step(pool, store, 0, {.rows = kRows}, true);
      for (int r = 0; r < kRows; ++r) {
        for (int c = 0; c < shape.channels; ++c) {
          double sum = text.bias.values[static_cast<size_t>(c)];
          for (int tap = 0; tap < shape.taps; ++tap) {
            const int row = r - shape.taps + 1 + tap;
            if (row >= 0)
              sum += static_cast<double>(text.inputs.tensor().row(row)[c]) *
                     text.filter.tensor().row(tap)[c];
          }
          ASSERT_NEAR(text.convolved.tensor().row(r)[c], sum, 1e-5) << target_name();
        }
      }
    }
  });
}

// By steps of these lengths, as chains or as the only branch of trees.
Text in_steps(const StateLayer& shape, std::vector<int> lengths, bool as_trees, int threads) {
  ThreadPool pool(threads);
  Text text(shape);
  StateStore store(text.kv_shape());
  int first = 0, state = kNoState;
  for (const int rows : lengths) {
    const int next = (state + 1) % kStates;
    const StateSave save{.row = rows - 1, .state = next};
    // Behind the path, wrong nodes hang from everywhere; their outputs are somebody else's.
    std::vector<int32_t> parents, path;
    for (int row = 0; row < rows; ++row) parents.push_back(row - 1), path.push_back(row);
    StateRun run{.rows = rows, .from = state};
    if (as_trees) {
      run.parents = parents;
    } else {
      run.saves = std::span(&save, 1);
    }
    text.step(pool, store, first, run, true);
    if (as_trees) {
      const StatePath one{.from = state, .nodes = path, .saves = std::span(&save, 1)};
      keep_states(pool, store, std::span(&one, 1));
    }
    first += rows;
    state = next;
  }
  return text;
}

TEST(RecurrenceTest, StepsMakeNoDifferenceToAnyBit) {
  on_all_targets([] {
    for (const StateLayer& shape : shapes()) {
      const Text whole = in_steps(shape, {kRows}, false, 1);
      for (const bool as_trees : {false, true}) {
        for (const std::vector<int>& lengths :
             {std::vector<int>{kRows}, {1, 1, 21}, {10, 1, 1, 2, 9}, {3, 20}}) {
          const Text cut = in_steps(shape, lengths, as_trees, 3);
          EXPECT_EQ(cut.out.values, whole.out.values) << target_name();
          EXPECT_EQ(cut.convolved.values, whole.convolved.values) << target_name();
        }
      }
    }
  });
}

TEST(RecurrenceTest, StatesOnTheWayAreThoseOfShorterTexts) {
  ThreadPool pool(2);
  for (const StateLayer& shape : shapes()) {
    Text text(shape);
    StateStore store(text.kv_shape());
    const StateSave saves[] = {{.row = 0, .state = 1}, {.row = 9, .state = 2}};
    text.step(pool, store, 0, {.rows = kRows, .saves = saves}, true);
    Text shorter(shape);
    StateStore other(shorter.kv_shape());
    const StateSave end{.row = 9, .state = 5};
    shorter.step(pool, other, 0, {.rows = 10, .saves = std::span(&end, 1)}, true);
    EXPECT_EQ(std::memcmp(store.inputs(2, 1), other.inputs(5, 1), shape.values() * sizeof(float)),
              0);
  }
}

}  // namespace
}  // namespace tessera::cpu
