#include "checkpoint/stored_adapter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/printable.h"

namespace tessera {
namespace {

// The matrices of the transformer that multiply activations.
constexpr TensorRole kAdaptable[] = {
    TensorRole::kOutput, TensorRole::kQuery, TensorRole::kKey,
    TensorRole::kValue,  TensorRole::kGate,  TensorRole::kQueryKeyValue,
    TensorRole::kUp,     TensorRole::kDown,  TensorRole::kAttentionOutput};

bool is_matrix(const StoredTensor& tensor) {
  return std::ranges::all_of(
      tensor.shape.begin() + std::min<ptrdiff_t>(2, std::ssize(tensor.shape)), tensor.shape.end(),
      [](uint64_t axis) { return axis == 1; });
}

void check_matrix(const StoredLowRank& one, const Checkpoint& model) {
  const StoredTensor &down = one.down, &up = one.up;
  const std::string name = printable(down.name);
  if (std::ranges::find(kAdaptable, down.place.role) == std::end(kAdaptable)) {
    fail(
        "tensor '{}' is for something else than a matrix that multiplies activations (attention, "
        "feed-forward, output), which is not supported",
        name);
  }
  const StoredTensor* matrix = model.find(down.place);
  if (matrix == nullptr) fail("tensor '{}' is for a matrix that the model does not have", name);
  for (const StoredTensor* tensor : {&down, &up}) {
    if (!tensor->format->supported()) {
      fail("tensor '{}' has format {}, which is not supported", printable(tensor->name),
           tensor->format->name);
    }
  }
  const uint64_t rank = down.rows();
  if (!is_matrix(down) || !is_matrix(up) || rank < 1 || rank > kMaxRank || up.columns() != rank ||
      down.columns() != matrix->columns() || up.rows() != matrix->rows()) {
    fail(
        "tensors '{}' and '{}' are {} x {} and {} x {}; for the model's '{}' of {} x {} they must "
        "be {} x rank and rank x {}, of a rank of 1 to {}",
        name, printable(up.name), down.columns(), down.rows(), up.columns(), up.rows(),
        printable(matrix->name), matrix->columns(), matrix->rows(), matrix->columns(),
        matrix->rows(), kMaxRank);
  }
  if (!std::isfinite(one.scale)) fail("tensor '{}': its scale is no number", name);
}

}  // namespace

void check_fits(const StoredAdapter& adapter, const Checkpoint& model) {
  if (adapter.matrices.empty()) fail("there are no low-rank matrices in it");
  std::set<TensorPlace> places;
  for (const StoredLowRank& one : adapter.matrices) {
    check_matrix(one, model);
    if (!places.insert(one.down.place).second)
      fail("tensor '{}' is there under another name, too", printable(one.down.name));
  }
}

}  // namespace tessera
