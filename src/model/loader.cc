#include "model/loader.h"

#include <algorithm>
#include <deque>

#include "base/error.h"

namespace tessera {

const StoredTensor& Loader::take(TensorPlace place, int64_t columns, int64_t rows) {
  const StoredTensor& tensor = checkpoint_.require(place);
  if (static_cast<int64_t>(tensor.columns()) != columns ||
      static_cast<int64_t>(tensor.rows()) != rows) {
    fail("tensor '{}' is {} x {}, expected {} x {}", tensor.name, tensor.columns(), tensor.rows(),
         columns, rows);
  }
  if (!tensor.format->supported()) {
    fail("tensor '{}' has format {}, which is not supported yet", tensor.name, tensor.format->name);
  }
  taken_.insert(&tensor);
  if (on_progress_) on_progress_(taken_.size(), checkpoint_.tensors().size());
  return tensor;
}

namespace {

double bits(const Format& format) {
  return 8.0 * format.block_bytes / format.block_elements;
}

// Elements that a thread recodes between two looks at what is left.
constexpr int kChunkElements = 1 << 16;

}  // namespace

bool Loader::is_recoded(const Format& stored, int columns) const {
  return format_ != nullptr && bits(stored) > bits(*format_) &&
         static_cast<uint32_t>(columns) % format_->block_elements == 0;
}

// `rows` rows, in the format asked for. A row is encoded by itself, so the number of threads makes
// no difference.
std::vector<std::byte> Loader::recode(const StoredTensor& tensor, int first_row, int rows) {
  const auto columns = static_cast<int>(tensor.columns());
  const uint64_t to_row = format_->row_bytes(tensor.columns());
  std::vector<std::byte> recoded(static_cast<size_t>(rows) * to_row);
  const int rows_in_chunk = std::max(1, kChunkElements / columns);
  const int chunks = (rows + rows_in_chunk - 1) / rows_in_chunk;
  const auto recode_chunk = [&](int chunk, int) {
    std::vector<float> values(columns);
    const int end = std::min(rows, (chunk + 1) * rows_in_chunk);
    for (int row = chunk * rows_in_chunk; row < end; ++row) {
      tensor.decode(static_cast<uint64_t>(first_row) + row, 1, values);
      format_->encode(values, recoded.data() + static_cast<size_t>(row) * to_row, {});
    }
  };
  if (pool_ != nullptr) {
    pool_->parallel_for(chunks, recode_chunk);
  } else {
    for (int chunk = 0; chunk < chunks; ++chunk) recode_chunk(chunk, 0);
  }
  return recoded;
}

void Loader::matrix(std::string_view label, std::initializer_list<StoredRows> parts, int columns,
                    std::unique_ptr<Matrix>& into) {
  std::vector<Backend::WeightPart> weights;
  std::deque<std::vector<std::byte>> recoded;
  for (const StoredRows& part : parts) {
    const StoredTensor& tensor = take({part.role, layer_}, columns, part.rows);
    const auto first = static_cast<uint64_t>(part.first), count = static_cast<uint64_t>(part.count);
    if (is_recoded(*tensor.format, columns)) {
      recoded.push_back(recode(tensor, part.first, part.count));
      weights.push_back({format_, recoded.back(), part.count});
    } else if (tensor.source != nullptr) {
      weights.push_back({.format = tensor.format,
                         .bytes = {},
                         .rows = part.count,
                         .source = tensor.source.get(),
                         .first_row = first});
    } else {
      // The repacked copy is all we need.
      const auto on_read = [this](std::span<const std::byte> read) { checkpoint_.release(read); };
      std::vector<std::byte> unused;
      weights.push_back({tensor.format, tensor.read(first, count, unused), part.count, on_read});
    }
    if (tensor.order != nullptr && !is_recoded(*tensor.format, columns))
      weights.back().order = *tensor.order;
  }
  into = backend_.load_matrix(weights, columns);
  for (const StoredRows& part : parts) {
    const StoredTensor& tensor = checkpoint_.require({part.role, layer_});
    if (tensor.source != nullptr || is_recoded(*tensor.format, columns))
      checkpoint_.release(tensor);
  }
  into->name = label;
  matrix_bytes_ += into->bytes;
}

void Loader::vector(std::initializer_list<StoredRows> parts, Presence presence,
                    std::unique_ptr<Vector>& into) {
  const bool stored = checkpoint_.find({parts.begin()->role, layer_}) != nullptr;
  if (presence == Presence::kOptional && !stored) return;
  std::vector<float> joined;
  for (const StoredRows& part : parts) {
    const StoredTensor& tensor = take({part.role, layer_}, part.rows, 1);
    std::vector<float> values(part.rows);
    tensor.decode(0, 1, values);
    const auto first = values.begin() + part.first;
    joined.insert(joined.end(), first, first + part.count);
  }
  into = backend_.load_vector(joined);
}

void Loader::require_all_taken() const {
  for (const StoredTensor& tensor : checkpoint_.tensors()) {
    if (!taken_.contains(&tensor))
      fail("tensor '{}' has no place in this architecture", tensor.name);
  }
}

}  // namespace tessera
