// Every operation of training against the same in doubles, its way back against finite differences
// of that, at sizes that leave every kind of rest; and the same bits for any number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "differences.h"
#include "support/all_targets.h"
#include "support/random_floats.h"
#include "train/operations/attention.h"
#include "train/operations/cosine.h"
#include "train/operations/cross_entropy.h"
#include "train/operations/divergence.h"
#include "train/operations/embedding.h"
#include "train/operations/gate.h"
#include "train/operations/linear.h"
#include "train/operations/norm.h"
#include "train/operations/rope.h"

namespace tessera::train {
namespace {

HostTensor rows_of(Floats& x, int rows) {
  const int columns = static_cast<int>(x.size()) / rows;
  return {x.data(), rows, columns, columns};
}
HostRows rows_of(const Floats& x, int rows) {
  const int columns = static_cast<int>(x.size()) / rows;
  return {x.data(), rows, columns, columns};
}

double dot(const Doubles& a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus(),
                            [](double x, float y) { return x * static_cast<double>(y); });
}

size_t wide(int count) {
  return static_cast<size_t>(count);
}

// --- products

Doubles plain_product(const Doubles& x, const Doubles& w, int rows, int inputs, int outputs) {
  Doubles y(wide(rows * outputs));
  for (int r = 0; r < rows; ++r)
    for (int o = 0; o < outputs; ++o)
      for (int i = 0; i < inputs; ++i)
        y[wide(r * outputs + o)] += x[wide(r * inputs + i)] * w[wide(o * inputs + i)];
  return y;
}

struct Sizes {
  int rows, inputs, outputs;
};

TEST(TrainLinearTest, EqualsAProductInDoublesAtAnySize) {
  on_all_targets([] {
    ThreadPool pool(2);
    for (const auto& [rows, inputs, outputs] :
         {Sizes{1, 1, 1}, {5, 7, 3}, {6, 32, 32}, {13, 300, 67}, {250, 20, 130}}) {
      const Floats x = random_floats(wide(rows * inputs), 1),
                   w = random_floats(wide(outputs * inputs), 2);
      Floats y(wide(rows * outputs));
      linear(pool, rows_of(x, rows), w.data(), 1, rows_of(y, rows), Into::kReplace);
      EXPECT_LE(relative_error(y, plain_product(doubles(x), doubles(w), rows, inputs, outputs)),
                1e-6);
    }
  });
}

TEST(TrainLinearTest, GradientsEqualFiniteDifferences) {
  on_all_targets([] {
    constexpr int kRows = 7, kInputs = 19, kOutputs = 37;
    ThreadPool pool(2);
    const Floats x = random_floats(kRows * kInputs, 1), w = random_floats(kOutputs * kInputs, 2),
                 dy = random_floats(kRows * kOutputs, 3);
    Floats dx(x.size()), dw(w.size()), db(kOutputs);
    linear_to_inputs(pool, rows_of(dy, kRows), w.data(), 0.5f, rows_of(dx, kRows));
    linear_to_weights(pool, rows_of(dy, kRows), rows_of(x, kRows), 0.5f, dw.data());
    add_rows(pool, rows_of(dy, kRows), db);
    const auto loss = [&](const Doubles& inputs, const Doubles& weights) {
      return 0.5 * dot(plain_product(inputs, weights, kRows, kInputs, kOutputs), dy);
    };
    expect_gradient(
        dx, differences([&](const Doubles& at) { return loss(at, doubles(w)); }, doubles(x)));
    expect_gradient(
        dw, differences([&](const Doubles& at) { return loss(doubles(x), at); }, doubles(w)));
    expect_gradient(db, differences(
                            [&](const Doubles& bias) {
                              double sum = 0;
                              for (size_t i = 0; i < dy.size(); ++i)
                                sum += bias[i % kOutputs] * static_cast<double>(dy[i]);
                              return sum;
                            },
                            Doubles(kOutputs)));
  });
}

TEST(TrainLinearTest, ThreadsChangeNoBit) {
  constexpr int kRows = 301, kInputs = 270, kOutputs = 210;
  const Floats x = random_floats(kRows * kInputs, 1), w = random_floats(kOutputs * kInputs, 2),
               dy = random_floats(kRows * kOutputs, 3);
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    Floats y(kRows * kOutputs), dx(x.size()), dw(w.size());
    linear(pool, rows_of(x, kRows), w.data(), 1, rows_of(y, kRows), Into::kReplace);
    linear_to_inputs(pool, rows_of(dy, kRows), w.data(), 1, rows_of(dx, kRows));
    linear_to_weights(pool, rows_of(dy, kRows), rows_of(x, kRows), 1, dw.data());
    y.insert(y.end(), dx.begin(), dx.end());
    y.insert(y.end(), dw.begin(), dw.end());
    return y;
  };
  EXPECT_EQ(run(1), run(3));
}

// --- norms

Doubles plain_norm(const Doubles& x, const Doubles& weight, const Doubles& bias, bool centered,
                   double epsilon) {
  Doubles y(x.size());
  const size_t group = weight.size();
  for (size_t first = 0; first < x.size(); first += group) {
    double mean = 0, squares = 0;
    for (size_t i = 0; centered && i < group; ++i)
      mean += x[first + i] / static_cast<double>(group);
    for (size_t i = 0; i < group; ++i) squares += std::pow(x[first + i] - mean, 2);
    const double root = std::sqrt(squares / static_cast<double>(group) + epsilon);
    for (size_t i = 0; i < group; ++i)
      y[first + i] = (x[first + i] - mean) / root * weight[i] + (bias.empty() ? 0 : bias[i]);
  }
  return y;
}

TEST(TrainNormTest, GradientsEqualFiniteDifferences) {
  for (const bool centered : {false, true}) {
    for (const int group : {24, 8}) {
      constexpr int kRows = 35, kColumns = 24;
      ThreadPool pool(2);
      const NormShape shape{centered, 1e-5f};
      const Floats x = random_floats(kRows * kColumns, 1), weight = random_floats(wide(group), 2),
                   bias = centered ? random_floats(wide(group), 3) : Floats(),
                   dy = random_floats(kRows * kColumns, 4);
      Floats y(x.size()), dx(x.size()), dweight(weight.size()), dbias(bias.size());
      normalize(pool, shape, rows_of(x, kRows), weight, bias, rows_of(y, kRows));
      normalize_back(pool, shape, rows_of(x, kRows), weight, rows_of(dy, kRows), rows_of(dx, kRows),
                     dweight, dbias);
      const auto answer = [&](const Doubles& a, const Doubles& w, const Doubles& b) {
        return plain_norm(a, w, b, centered, static_cast<double>(shape.epsilon));
      };
      const Doubles xs = doubles(x), ws = doubles(weight), bs = doubles(bias);
      EXPECT_LE(relative_error(y, answer(xs, ws, bs)), 1e-6);
      expect_gradient(
          dx, differences([&](const Doubles& at) { return dot(answer(at, ws, bs), dy); }, xs));
      expect_gradient(
          dweight, differences([&](const Doubles& at) { return dot(answer(xs, at, bs), dy); }, ws));
      if (centered)
        expect_gradient(
            dbias, differences([&](const Doubles& at) { return dot(answer(xs, ws, at), dy); }, bs));
    }
  }
}

// --- rotations

Doubles plain_rope(const Doubles& x, const Rope& rope, int head_dim,
                   std::span<const int32_t> positions) {
  Doubles y = x;
  const size_t columns = x.size() / positions.size(), pairs = rope.frequency.size();
  for (size_t c = 0; c < y.size(); c += wide(head_dim)) {
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(rope.frequency[i]) * positions[c / columns];
      const size_t a = c + (rope.interleaved ? 2 * i : i),
                   b = c + (rope.interleaved ? 2 * i + 1 : i + pairs);
      y[a] = rope.magnitude * (x[a] * std::cos(angle) - x[b] * std::sin(angle));
      y[b] = rope.magnitude * (x[b] * std::cos(angle) + x[a] * std::sin(angle));
    }
  }
  return y;
}

TEST(TrainRopeTest, GradientsEqualFiniteDifferences) {
  for (const bool interleaved : {false, true}) {
    ThreadPool pool(2);
    const Rope rope{6, interleaved, 1.25f, {1.0f, 0.3f, 0.01f}};  // two columns of a head stay
    const std::vector<int32_t> positions = {0, 1, 2, 7, 100};
    const Floats x = random_floats(5 * 24, 1), dy = random_floats(5 * 24, 2);
    Floats y = x, dx = dy;
    rotate(pool, rope, 8, positions, Turn::kForward, rows_of(y, 5));
    rotate(pool, rope, 8, positions, Turn::kBack, rows_of(dx, 5));
    EXPECT_LE(relative_error(y, plain_rope(doubles(x), rope, 8, positions)), 1e-6);
    expect_gradient(
        dx,
        differences([&](const Doubles& at) { return dot(plain_rope(at, rope, 8, positions), dy); },
                    doubles(x)));
  }
}

// --- attention

Doubles plain_attention(const AttentionShape& shape, std::span<const TextRows> texts,
                        const Doubles& q, const Doubles& k, const Doubles& v) {
  Doubles out(q.size());
  const int dim = shape.head_dim, columns = shape.heads * dim, kv_columns = shape.kv_heads * dim;
  for (const TextRows& text : texts) {
    for (int r = 0; r < text.count; ++r) {
      for (int h = 0; h < shape.heads; ++h) {
        const int kv = h / (shape.heads / shape.kv_heads);
        const auto query = wide((text.first + r) * columns + h * dim);
        const auto key = [&](int j) { return wide((text.first + j) * kv_columns + kv * dim); };
        const int begin = shape.window > 0 ? std::max(0, r - shape.window + 1) : 0;
        Doubles weights;
        for (int j = begin; j <= r; ++j) {
          double score = 0;
          for (size_t i = 0; i < wide(dim); ++i) score += q[query + i] * k[key(j) + i];
          score *= static_cast<double>(shape.scale);
          if (!shape.slopes.empty()) score -= static_cast<double>(shape.slopes[wide(h)]) * (r - j);
          const double cap = static_cast<double>(shape.soft_cap);
          weights.push_back(std::exp(cap > 0 ? cap * std::tanh(score / cap) : score));
        }
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (int j = begin; j <= r; ++j)
          for (size_t i = 0; i < wide(dim); ++i)
            out[query + i] += weights[wide(j - begin)] / sum * v[key(j) + i];
      }
    }
  }
  return out;
}

struct AttentionCase {
  std::string name;
  AttentionShape shape;
};

class TrainAttentionTest : public testing::TestWithParam<AttentionCase> {};

TEST_P(TrainAttentionTest, GradientsEqualFiniteDifferences) {
  const AttentionShape& shape = GetParam().shape;
  const std::vector<TextRows> texts = {{0, 7}, {7, 1}, {8, 5}};
  constexpr int kRows = 13;
  ThreadPool pool(2);
  const size_t queries = wide(kRows * shape.heads * shape.head_dim),
               keys = wide(kRows * shape.kv_heads * shape.head_dim);
  const Floats q = random_floats(queries, 1), k = random_floats(keys, 2),
               v = random_floats(keys, 3), dout = random_floats(queries, 4);
  Floats out(queries), sums(wide(kRows * shape.heads)), dq(queries), dk(keys), dv(keys);
  attend(pool, shape, texts, rows_of(q, kRows), rows_of(k, kRows), rows_of(v, kRows),
         rows_of(out, kRows), rows_of(sums, kRows));
  const Doubles qs = doubles(q), ks = doubles(k), vs = doubles(v);
  EXPECT_LE(relative_error(out, plain_attention(shape, texts, qs, ks, vs)), 1e-6);
  attend_back(pool, shape, texts, rows_of(q, kRows), rows_of(k, kRows), rows_of(v, kRows),
              rows_of(out, kRows), rows_of(sums, kRows), rows_of(dout, kRows), rows_of(dq, kRows),
              rows_of(dk, kRows), rows_of(dv, kRows));
  const auto loss = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
    return dot(plain_attention(shape, texts, a, b, c), dout);
  };
  expect_gradient(dq, differences([&](const Doubles& at) { return loss(at, ks, vs); }, qs));
  expect_gradient(dk, differences([&](const Doubles& at) { return loss(qs, at, vs); }, ks));
  expect_gradient(dv, differences([&](const Doubles& at) { return loss(qs, ks, at); }, vs));
}

INSTANTIATE_TEST_SUITE_P(
    All, TrainAttentionTest,
    testing::Values(
        AttentionCase{"all", {.heads = 2, .kv_heads = 2, .head_dim = 4, .scale = 0.5f}},
        AttentionCase{"grouped", {.heads = 4, .kv_heads = 2, .head_dim = 6, .scale = 0.4f}},
        AttentionCase{"window",
                      {.heads = 2, .kv_heads = 1, .head_dim = 4, .scale = 0.5f, .window = 3}},
        AttentionCase{"capped",
                      {.heads = 2, .kv_heads = 1, .head_dim = 4, .scale = 0.5f, .soft_cap = 1.5f}},
        AttentionCase{
            "sloped",
            {.heads = 2, .kv_heads = 2, .head_dim = 4, .scale = 0.5f, .slopes = {0.5f, 0.25f}}}),
    [](const auto& one) { return one.param.name; });

// Of a length that is cut into several blocks, with a window that begins within one.
TEST(TrainAttentionTest, BlocksAndThreadsMakeNoDifference) {
  const AttentionShape shape{
      .heads = 2, .kv_heads = 1, .head_dim = 8, .scale = 0.35f, .window = 70};
  constexpr int kRows = 150;
  const std::vector<TextRows> texts = {{0, 140}, {140, 10}};
  const Floats q = random_floats(kRows * 16, 1), k = random_floats(kRows * 8, 2),
               v = random_floats(kRows * 8, 3), dout = random_floats(kRows * 16, 4);
  const auto run = [&](int threads) {
    ThreadPool pool(threads);
    Floats out(q.size()), sums(kRows * 2), dq(q.size()), dk(k.size()), dv(v.size());
    attend(pool, shape, texts, rows_of(q, kRows), rows_of(k, kRows), rows_of(v, kRows),
           rows_of(out, kRows), rows_of(sums, kRows));
    attend_back(pool, shape, texts, rows_of(q, kRows), rows_of(k, kRows), rows_of(v, kRows),
                rows_of(out, kRows), rows_of(sums, kRows), rows_of(dout, kRows), rows_of(dq, kRows),
                rows_of(dk, kRows), rows_of(dv, kRows));
    out.insert(out.end(), dq.begin(), dq.end());
    out.insert(out.end(), dk.begin(), dk.end());
    out.insert(out.end(), dv.begin(), dv.end());
    return out;
  };
  const Floats found = run(1);
  EXPECT_EQ(found, run(3));
  EXPECT_LE(relative_error(std::span(found).first(q.size()),
                           plain_attention(shape, texts, doubles(q), doubles(k), doubles(v))),
            1e-6);
  // By differences only some of the keys' gradients, which are sums over blocks.
  const Floats dk(found.begin() + static_cast<ptrdiff_t>(2 * q.size()),
                  found.begin() + static_cast<ptrdiff_t>(2 * q.size() + k.size()));
  const size_t first = 65 * 8;
  const auto loss = [&](const Doubles& some) {
    Doubles keys = doubles(k);
    std::ranges::copy(some, keys.begin() + static_cast<ptrdiff_t>(first));
    return dot(plain_attention(shape, texts, doubles(q), keys, doubles(v)), dout);
  };
  expect_gradient(std::span(dk).subspan(first, 8),
                  differences(loss, doubles(std::span(k).subspan(first, 8))));
}

// --- activations

double plain_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kGelu:
      return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kSquaredRelu:
      return std::pow(std::max(x, 0.0), 2);
    default:
      return x;
  }
}

class TrainActivationTest : public testing::TestWithParam<Activation> {};

TEST_P(TrainActivationTest, GradientsEqualFiniteDifferences) {
  on_all_targets([] {
    constexpr int kRows = 3, kColumns = 37;
    const Activation activation = GetParam();
    ThreadPool pool(2);
    Floats gate = random_floats(kRows * kColumns, 1, 2.0f);
    for (float& value : gate) {
      if (std::abs(value) < 0.01f) value = 0.5f;  // where a kink is, differences see both sides
    }
    const Floats x = random_floats(gate.size(), 2), dy = random_floats(gate.size(), 3);
    Floats y(gate.size()), dgate(gate.size()), dx(gate.size()), dalone(gate.size());
    apply_gate(pool, activation, rows_of(gate, kRows), rows_of(x, kRows), rows_of(y, kRows));
    apply_gate_back(pool, activation, rows_of(gate, kRows), rows_of(x, kRows), rows_of(dy, kRows),
                    rows_of(dgate, kRows), rows_of(dx, kRows));
    apply_activation_back(pool, activation, rows_of(gate, kRows), rows_of(dy, kRows),
                          rows_of(dalone, kRows));
    const auto gated = [&](const Doubles& g, const Doubles& factors) {
      Doubles out(g.size());
      for (size_t i = 0; i < g.size(); ++i)
        out[i] = plain_activation(activation, g[i]) * factors[i];
      return out;
    };
    const Doubles gs = doubles(gate), xs = doubles(x), ones(gs.size(), 1.0);
    EXPECT_LE(relative_error(y, gated(gs, xs)), 1e-6);
    expect_gradient(dgate,
                    differences([&](const Doubles& at) { return dot(gated(at, xs), dy); }, gs));
    expect_gradient(dx, differences([&](const Doubles& at) { return dot(gated(gs, at), dy); }, xs));
    expect_gradient(dalone,
                    differences([&](const Doubles& at) { return dot(gated(at, ones), dy); }, gs));
  });
}

INSTANTIATE_TEST_SUITE_P(All, TrainActivationTest,
                         testing::Values(Activation::kSilu, Activation::kGelu, Activation::kGeluErf,
                                         Activation::kRelu, Activation::kSquaredRelu,
                                         Activation::kSigmoid, Activation::kIdentity));

// --- the loss, and where it ends

TEST(TrainCrossEntropyTest, GradientsEqualFiniteDifferences) {
  on_all_targets([] {
    constexpr int kRows = 3, kVocabulary = 41;
    ThreadPool pool(2);
    const Floats logits = random_floats(kRows * kVocabulary, 1, 3.0f);
    const std::vector<Token> targets = {0, 40, 7};
    Floats dlogits(logits.size());
    const double found =
        cross_entropy_back(pool, rows_of(logits, kRows), targets, 0.25f, rows_of(dlogits, kRows));
    EXPECT_EQ(found, cross_entropy(pool, rows_of(logits, kRows), targets));
    const auto loss = [&](const Doubles& at) {
      double sum = 0;
      for (size_t r = 0; r < kRows; ++r) {
        double all = 0;
        for (size_t i = 0; i < kVocabulary; ++i) all += std::exp(at[r * kVocabulary + i]);
        sum += std::log(all) - at[r * kVocabulary + wide(targets[r])];
      }
      return sum;
    };
    EXPECT_NEAR(found, loss(doubles(logits)), 1e-5);
    expect_gradient(
        dlogits, differences([&](const Doubles& at) { return 0.25 * loss(at); }, doubles(logits)));
  });
}

// T^2 KL(softmax(teacher / T) || softmax(student / T)) of one row, in which `kept` are told apart.
double plain_divergence(const Doubles& teacher, const Doubles& student, double temperature,
                        const std::vector<size_t>& kept) {
  const auto probabilities = [&](const Doubles& logits) {
    Doubles p;
    double all = 0;
    for (const double logit : logits) all += p.emplace_back(std::exp(logit / temperature));
    for (double& value : p) value /= all;
    Doubles events;
    double rest = 1;
    for (const size_t i : kept) rest -= events.emplace_back(p[i]);
    if (kept.size() < p.size()) events.push_back(rest);
    return events;
  };
  const Doubles p = probabilities(teacher), q = probabilities(student);
  double loss = 0;
  for (size_t i = 0; i < p.size(); ++i) loss += p[i] * std::log(p[i] / q[i]);
  return temperature * temperature * loss;
}

class TrainDivergenceTest : public testing::Test {
 protected:
  static constexpr int kRows = 3, kVocabulary = 41;
  Doubles row(const Floats& x, size_t r) const {
    return doubles(std::span(x).subspan(r * kVocabulary, kVocabulary));
  }
  // The numbers of the largest.
  std::vector<size_t> largest_of(size_t r, int count) const {
    std::vector<size_t> order(kVocabulary);
    std::iota(order.begin(), order.end(), size_t{0});
    const Doubles values = row(teacher_, r);
    std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return values[i]; });
    order.resize(wide(count));
    return order;
  }

  ThreadPool pool_{2};
  const Floats teacher_ = random_floats(kRows * kVocabulary, 1, 3.0f),
               student_ = random_floats(kRows * kVocabulary, 2, 3.0f);
};

TEST_F(TrainDivergenceTest, GradientsEqualFiniteDifferences) {
  on_all_targets([&] {
    for (const DivergenceShape shape :
         {DivergenceShape{1, 0}, DivergenceShape{2, 0}, DivergenceShape{1, 5},
          DivergenceShape{3, 12}, DivergenceShape{2, kVocabulary}}) {
      Floats dstudent(student_.size());
      const double found =
          divergence_back(pool_, shape, rows_of(teacher_, kRows), rows_of(student_, kRows), 0.25f,
                          rows_of(dstudent, kRows));
      EXPECT_EQ(found,
                divergence(pool_, shape, rows_of(teacher_, kRows), rows_of(student_, kRows)));
      const auto loss = [&](const Doubles& at) {
        double sum = 0;
        for (size_t r = 0; r < kRows; ++r) {
          const auto begin = at.begin() + static_cast<ptrdiff_t>(r) * kVocabulary;
          sum += plain_divergence(row(teacher_, r), Doubles(begin, begin + kVocabulary),
                                  static_cast<double>(shape.temperature),
                                  largest_of(r, shape.kept == 0 ? kVocabulary : shape.kept));
        }
        return sum;
      };
      EXPECT_NEAR(found, loss(doubles(student_)), 1e-5);
      expect_gradient(dstudent, differences([&](const Doubles& at) { return 0.25 * loss(at); },
                                            doubles(student_)));
    }
  });
}

// Not nearly: what a student that has nothing to learn is told is zero.
TEST_F(TrainDivergenceTest, OfEqualsIsZeroAndSoIsItsGradient) {
  on_all_targets([&] {
    for (const int kept : {0, 7}) {
      Floats dstudent(student_.size());
      EXPECT_EQ(divergence_back(pool_, {2, kept}, rows_of(teacher_, kRows),
                                rows_of(teacher_, kRows), 1, rows_of(dstudent, kRows)),
                0);
      EXPECT_EQ(dstudent, Floats(student_.size()));
    }
  });
}

// Hinton et al. 2015: where T is high against the logits, the gradient is (student - teacher) / V
// for logits of mean 0, whatever T is, but for terms of z^2 / T; none here is above 10.
TEST_F(TrainDivergenceTest, TheSquareOfTheTemperatureKeepsGradientsOfOneSize) {
  const auto centered = [](Floats x) {
    for (int r = 0; r < kRows; ++r) {
      const auto begin = x.begin() + static_cast<ptrdiff_t>(r) * kVocabulary;
      const float mean = std::accumulate(begin, begin + kVocabulary, 0.0f) / kVocabulary;
      std::for_each(begin, begin + kVocabulary, [&](float& value) { value -= mean; });
    }
    return x;
  };
  const Floats teacher = centered(teacher_), student = centered(student_);
  for (const float temperature : {1000.0f, 4000.0f}) {
    Floats dstudent(student.size());
    divergence_back(pool_, {temperature, 0}, rows_of(teacher, kRows), rows_of(student, kRows), 1,
                    rows_of(dstudent, kRows));
    for (size_t i = 0; i < student.size(); ++i)
      EXPECT_NEAR(dstudent[i], (student[i] - teacher[i]) / kVocabulary,
                  100 / temperature / kVocabulary);
  }
}

// The rest of the student is too unlikely for a float.
TEST_F(TrainDivergenceTest, IsANumberWhereTheStudentIsCertain) {
  const Floats teacher = {1, 2, 3}, student = {-400, -300, 0};
  for (const int kept : {0, 1}) {
    Floats dstudent(3);
    const double found = divergence_back(pool_, {1, kept}, rows_of(teacher, 1), rows_of(student, 1),
                                         1, rows_of(dstudent, 1));
    EXPECT_TRUE(std::isfinite(found));
    EXPECT_GT(found, 20);
    for (const float value : dstudent) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(TrainCosineTest, GradientsEqualFiniteDifferences) {
  constexpr int kRows = 4, kColumns = 19;
  ThreadPool pool(2);
  const Floats teacher = random_floats(kRows * kColumns, 1, 2.0f),
               student = random_floats(kRows * kColumns, 2, 2.0f);
  Floats dstudent(student.size());
  const double found = cosine_distance_back(pool, rows_of(teacher, kRows), rows_of(student, kRows),
                                            0.5f, rows_of(dstudent, kRows));
  EXPECT_EQ(found, cosine_distance(pool, rows_of(teacher, kRows), rows_of(student, kRows)));
  const auto loss = [&](const Doubles& at) {
    double sum = 0;
    for (size_t r = 0; r < kRows; ++r) {
      double product = 0, teachers = 0, students = 0;
      for (size_t i = r * kColumns; i < (r + 1) * kColumns; ++i) {
        const auto t = static_cast<double>(teacher[i]);
        product += t * at[i];
        teachers += t * t;
        students += at[i] * at[i];
      }
      sum += 1 - product / std::sqrt(teachers * students);
    }
    return sum;
  };
  EXPECT_NEAR(found, loss(doubles(student)), 1e-12);
  expect_gradient(dstudent,
                  differences([&](const Doubles& at) { return 0.5 * loss(at); }, doubles(student)));
  Floats zeros(kColumns), dzeros(kColumns);
  EXPECT_EQ(cosine_distance_back(pool, rows_of(student, kRows).middle(0, 1), rows_of(zeros, 1), 1,
                                 rows_of(dzeros, 1)),
            1);
  EXPECT_EQ(dzeros, Floats(kColumns));
}

TEST(TrainEmbeddingTest, RowsGetWhatTheyWereReadFor) {
  const Floats dx = {1, 2, 3, 4, 5, 6};
  Floats table(4 * 2);
  add_to_rows(rows_of(dx, 3), std::vector<int32_t>{2, 0, 2}, 0.5f, table.data());
  EXPECT_EQ(table, (Floats{1.5f, 2, 0, 0, 3, 4, 0, 0}));
}

}  // namespace
}  // namespace tessera::train
