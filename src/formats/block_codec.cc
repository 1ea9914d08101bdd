#include "formats/block_codec.h"

#include <cmath>

#include "base/error.h"

namespace tessera {

void check_row(std::string_view format, size_t block_elements, std::span<const float> row,
               std::span<const float> importance) {
  if (row.size() % block_elements != 0) {
    fail("cannot encode {} elements as {}: a row must be a multiple of {} elements", row.size(),
         format, block_elements);
  }
  if (!importance.empty() && importance.size() != row.size()) {
    fail("cannot encode as {}: {} importance values for {} elements", format, importance.size(),
         row.size());
  }
  for (size_t i = 0; i < row.size(); ++i) {
    if (!std::isfinite(row[i]))
      fail("cannot encode as {}: element {} of the row is {}", format, i, row[i]);
  }
  for (size_t i = 0; i < importance.size(); ++i) {
    if (!std::isfinite(importance[i]) || importance[i] < 0) {
      fail("cannot encode as {}: importance of element {} is {}, expected a finite value >= 0",
           format, i, importance[i]);
    }
  }
}

void block_weights(std::span<const float> importance, std::span<float> weights) {
  const float largest =
      importance.empty() ? 0.0f : *std::max_element(importance.begin(), importance.end());
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = largest > 0 ? std::max(importance[i] / largest, 1e-6f) : 1.0f;
  }
}

}  // namespace tessera
