#include "backend/backend.h"

#include <vector>

#include "backend/meter.h"

namespace tessera {

// Here, so that their virtual tables are, once.
Backend::~Backend() = default;
Meter::~Meter() = default;

std::unique_ptr<PreparedRows> Backend::prepare(const RowMetadata& rows) {
  return std::make_unique<PreparedRows>(rows);
}

void Backend::on_host(std::span<const Tensor> inputs, Tensor into, HostOperation operation) {
  std::vector<std::vector<float>> copies;
  std::vector<HostRows> rows;
  for (const Tensor& input : inputs) {
    rows.push_back(download(input).copy(copies.emplace_back()));  // gone with the next download
  }
  std::vector<float> out(static_cast<size_t>(into.rows) * static_cast<size_t>(into.columns));
  operation(rows, {out.data(), into.rows, into.columns, into.columns});
  upload(out, into);
}

}  // namespace tessera
