#include "model/loader.h"

#include "base/error.h"

namespace tessera {

std::string Loader::full_name(std::string_view name) const {
  return layer_ == kNoLayer ? std::string(name) : fmt::format("blk.{}.{}", layer_, name);
}

const GgufTensor& Loader::take(const std::string& name, int64_t columns, int64_t rows) {
  const GgufTensor& tensor = file_.require_tensor(name);
  if (static_cast<int64_t>(tensor.columns()) != columns ||
      static_cast<int64_t>(tensor.rows()) != rows) {
    fail("tensor '{}' is {} x {}, expected {} x {}", name, tensor.columns(), tensor.rows(), columns,
         rows);
  }
  if (!tensor.format->supported()) {
    fail("tensor '{}' has format {}, which is not supported yet", name, tensor.format->name);
  }
  taken_.insert(name);
  if (on_progress_) on_progress_(taken_.size(), file_.tensors().size());
  return tensor;
}

void Loader::matrix(std::string_view label, std::initializer_list<StoredRows> parts, int columns,
                    std::unique_ptr<Matrix>& into) {
  std::vector<Backend::WeightPart> weights;
  for (const StoredRows& part : parts) {
    const GgufTensor& tensor = take(full_name(part.name), columns, part.rows);
    const size_t row_bytes = tensor.bytes.size() / static_cast<size_t>(part.rows);
    const auto bytes = tensor.bytes.subspan(static_cast<size_t>(part.first) * row_bytes,
                                            static_cast<size_t>(part.count) * row_bytes);
    const auto on_read = [this, &tensor](std::span<const std::byte> read) {
      file_.release(tensor, read);  // the repacked copy is all we need
    };
    weights.push_back({tensor.format, bytes, part.count, on_read});
  }
  into = backend_.load_matrix(weights, columns);
  into->name = label;
  matrix_bytes_ += into->bytes;
}

void Loader::vector(std::initializer_list<StoredRows> parts, Presence presence,
                    std::vector<float>& into) {
  const bool stored = file_.find_tensor(full_name(parts.begin()->name)) != nullptr;
  if (presence == Presence::kOptional && !stored) return;
  for (const StoredRows& part : parts) {
    const GgufTensor& tensor = take(full_name(part.name), part.rows, 1);
    std::vector<float> values(part.rows);
    tensor.format->decode(tensor.bytes.data(), values);
    into.insert(into.end(), values.begin() + part.first, values.begin() + part.first + part.count);
  }
}

void Loader::require_all_taken() const {
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!taken_.contains(tensor.name))
      fail("tensor '{}' has no place in this architecture", tensor.name);
  }
}

}  // namespace tessera
