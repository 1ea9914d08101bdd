#include "model/loader.h"

#include <algorithm>
#include <deque>

#include "base/error.h"

namespace tessera {

const StoredTensor& Loader::take(TensorPlace place, int64_t columns, int64_t rows) {
  const StoredTensor& stored = checkpoint_.require(place);
  const StoredTensor* other = instead_ ? instead_(stored) : nullptr;
  const StoredTensor& tensor = other == nullptr ? stored : *other;
  if (static_cast<int64_t>(tensor.columns()) != columns ||
      static_cast<int64_t>(tensor.rows()) != rows) {
    fail("tensor '{}' is {} x {}, expected {} x {}", tensor.name, tensor.columns(), tensor.rows(),
         columns, rows);
  }
  if (!tensor.format->supported()) {
    fail("tensor '{}' has format {}, which is not supported yet", tensor.name, tensor.format->name);
  }
  taken_.insert(&stored);
  if (on_progress_) on_progress_(taken_.size(), checkpoint_.tensors().size());
  return tensor;
}

namespace {

// Of an element as its file has it: in a grouped block (formats/grouped.h) a code takes a whole
// byte.
double bits(const Format& format) {
  const double bits = 8.0 * format.block_bytes / format.block_elements;
  return format.quantized != nullptr && bits >= 8 ? bits - 8 + format.quantized->code_bits : bits;
}

// The rows of a tensor in another format. Each is encoded by itself.
class RecodedRows final : public RowSource {
 public:
  RecodedRows(const StoredTensor& tensor, const Format& format)
      : tensor_(tensor), format_(format), row_bytes_(format.row_bytes(tensor.columns())) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<float> values(count * tensor_.columns());
    tensor_.decode(first, count, values);
    for (uint64_t row = 0; row < count; ++row) {
      const auto from = std::span(values).subspan(row * tensor_.columns(), tensor_.columns());
      format_.encode(from, out + row * row_bytes_, {});
    }
  }
  std::vector<std::span<const std::byte>> stored() const override { return tensor_.stored(); }

 private:
  const StoredTensor& tensor_;
  const Format& format_;
  const uint64_t row_bytes_;
};

}  // namespace

// What the tensor is stored in instead; nullptr: as it is.
const Format* Loader::recoding(const StoredTensor& tensor) const {
  const Format* format =
      shortcuts_.format == nullptr ? nullptr : shortcuts_.format(tensor.columns());
  return format != nullptr && bits(*tensor.format) > bits(*format) ? format : nullptr;
}

void Loader::matrix(std::string_view label, std::span<const StoredRows> parts, int columns,
                    std::unique_ptr<Matrix>& into) {
  std::vector<Backend::WeightPart> weights;
  std::deque<RecodedRows> recoded;
  for (const StoredRows& part : parts) {
    const StoredTensor& tensor = take({part.role, layer_}, columns, part.rows);
    const auto first = static_cast<uint64_t>(part.first), count = static_cast<uint64_t>(part.count);
    if (tensor.shape.size() > 2 && tensor.shape[1] != static_cast<uint64_t>(part.each)) {
      fail("tensor '{}' has {} rows in each of its matrices, expected {}", tensor.name,
           tensor.shape[1], part.each);
    }
    const Format* other = recoding(tensor);
    if (other == nullptr && tensor.source == nullptr) {
      // The repacked copy is all we need.
      const auto on_read = [this](std::span<const std::byte> read) { checkpoint_.release(read); };
      std::vector<std::byte> unused;
      weights.push_back({tensor.format, tensor.read(first, count, unused), part.count, on_read});
    } else {
      const RowSource* source =
          other == nullptr ? tensor.source.get() : &recoded.emplace_back(tensor, *other);
      const auto on_read = [this, &tensor](auto) { checkpoint_.release(tensor); };
      weights.push_back({.format = other == nullptr ? tensor.format : other,
                         .bytes = {},
                         .rows = part.count,
                         .on_read = on_read,
                         .source = source,
                         .first_row = first});
    }
    // What is decoded for another format has its columns in order.
    if (tensor.order != nullptr && other == nullptr) weights.back().order = *tensor.order;
  }
  into = backend_.load_matrix(weights, columns);
  into->name = label;
  into->outlier_threshold = shortcuts_.outlier_threshold;
  matrix_bytes_ += into->bytes;
}

bool Loader::is_absent(StoredRows stored, Presence presence) {
  if (presence != Presence::kOptional) return false;
  const StoredTensor* found = checkpoint_.find({stored.role, layer_});
  if (stored.first == 0)  // once, where a tensor is read in several parts
    ++(found == nullptr ? absent_ : present_)[stored.role];
  return found == nullptr;
}

std::vector<float> Loader::decode(StoredRows stored) {
  // Those of all experts are a table with a row for each.
  const StoredTensor& found = checkpoint_.require({stored.role, layer_});
  // A number for each head may be a column.
  const bool is_column = found.columns() == 1 && stored.count == stored.rows;
  if (is_column) {
    std::vector<float> column(static_cast<size_t>(stored.rows));
    take({stored.role, layer_}, 1, stored.rows).decode(0, column.size(), column);
    return column;
  }
  const bool is_table = found.columns() == static_cast<uint64_t>(stored.count) &&
                        found.elements() == static_cast<uint64_t>(stored.rows);
  const int64_t columns = is_table ? stored.count : stored.rows;
  const StoredTensor& tensor = take({stored.role, layer_}, columns, stored.rows / columns);
  if (is_table) {
    std::vector<float> row(stored.count);
    tensor.decode(static_cast<uint64_t>(stored.first / stored.count), 1, row);
    return row;
  }
  std::vector<float> values(stored.rows);
  tensor.decode(0, 1, values);
  return {values.begin() + stored.first, values.begin() + stored.first + stored.count};
}

void Loader::vector(std::initializer_list<StoredRows> parts, Presence presence,
                    std::unique_ptr<Vector>& into) {
  if (is_absent(*parts.begin(), presence)) return;
  std::vector<float> joined;
  for (const StoredRows& part : parts) {
    const std::vector<float> values = decode(part);
    joined.insert(joined.end(), values.begin(), values.end());
  }
  into = backend_.load_vector(joined);
}

void Loader::filter(StoredRows stored, int taps, std::unique_ptr<Vector>& into) {
  const StoredTensor& tensor = take({stored.role, layer_}, taps, stored.rows);
  const auto channels = static_cast<size_t>(stored.rows), count = static_cast<size_t>(taps);
  std::vector<float> values(channels * count), turned(channels * count);
  tensor.decode(0, channels, values);
  for (size_t i = 0; i < values.size(); ++i) turned[i % count * channels + i / count] = values[i];
  into = backend_.load_vector(turned);
}

void Loader::constant(int length, float value, std::unique_ptr<Vector>& into) {
  into = backend_.load_vector(std::vector<float>(static_cast<size_t>(length), value));
}

void Loader::values(StoredRows stored, Presence presence, std::vector<float>& into) {
  if (!is_absent(stored, presence)) into = decode(stored);
}

void Loader::require_all_taken() const {
  for (const auto& entry : present_) {
    const TensorRole role = entry.first;
    if (!absent_.contains(role)) continue;
    const auto is_of_role = [role](const StoredTensor& t) { return t.place.role == role; };
    fail("tensor '{}' is there, but not its like in {} other layers",
         std::ranges::find_if(checkpoint_.tensors(), is_of_role)->name, absent_.at(role));
  }
  for (const StoredTensor& tensor : checkpoint_.tensors()) {
    if (!taken_.contains(&tensor))
      fail("tensor '{}' has no place in this architecture", tensor.name);
  }
}

}  // namespace tessera
