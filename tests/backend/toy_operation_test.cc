// An operation begins as one file: this one, which nothing else knows of. Every backend runs it.
#include <gtest/gtest.h>

#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_backend.h"
#include "support/random_floats.h"
#include "support/reference_backend.h"

namespace tessera {
namespace {

// out = max(a, 0)^2 + b: the squared ReLU of Primer (So et al. 2021) and a residual.
void relu_squared_add(Backend& backend, Tensor a, Tensor b, Tensor out) {
  const Tensor inputs[] = {a, b};
  backend.on_host(inputs, out, [](std::span<const HostRows> in, HostTensor result) {
    for (int r = 0; r < result.rows; ++r) {
      for (int c = 0; c < result.columns; ++c) {
        const float x = std::max(in[0].row(r)[static_cast<size_t>(c)], 0.0f);
        result.row(r)[c] = x * x + in[1].row(r)[static_cast<size_t>(c)];
      }
    }
  });
}

constexpr int kRows = 5, kColumns = 37;

std::vector<float> run(Backend& backend) {
  const Tensor a = backend.allocate(kRows, kColumns + 10), b = backend.allocate(kRows, kColumns);
  backend.upload(random_floats(kRows * (kColumns + 10), 1), a);
  backend.upload(random_floats(kRows * kColumns, 2), b);
  relu_squared_add(backend, a.slice(3, kColumns), b, b);  // into one of its inputs
  backend.add(b, b);                                      // operations go on from it
  std::vector<float> values;
  const HostRows rows = backend.download(b);
  for (int r = 0; r < rows.rows; ++r) {
    const auto row = rows.row(r);
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

TEST(ToyOperation, IsOneFunctionOnEveryBackend) {
  const auto cpu = make_cpu_backend(std::make_shared<ThreadPool>(2));
  const auto reference = make_reference_backend();
  const std::vector<float> values = run(*cpu);
  EXPECT_EQ(values, run(*reference));
  const auto a = random_floats(kRows * (kColumns + 10), 1), b = random_floats(kRows * kColumns, 2);
  const float x = std::max(a[3], 0.0f);
  EXPECT_EQ(values[0], 2 * (x * x + b[0]));
}

}  // namespace
}  // namespace tessera
