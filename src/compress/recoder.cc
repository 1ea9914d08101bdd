#include "compress/recoder.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "formats/grouped.h"
#include "formats/same_grid.h"
#include "formats/shared_scales.h"

namespace tessera {
namespace {

constexpr uint64_t kChunkElements = 1 << 16;  // a thread's work between two looks at the counter

// Over a part of a tensor: sums of squares, and what became of rows that kept their codes.
struct PartErrors {
  double error = 0, source = 0;
  uint64_t kept_rows = 0;
  float rounding = 0;
};

// `values` are rows from `first` on.
void require_finite_rows(const StoredTensor& tensor, uint64_t first,
                         std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    fail("tensor '{}' holds {} in row {}: it cannot be quantized", printable(tensor.name),
         values[i], first + i / tensor.columns());
  }
}

class Recoder {
 public:
  // Each of the encoders has as many rows.
  Recoder(const StoredTensor& source, const Format& target, std::vector<const RowEncoder*> encoders)
      : source_(source),
        target_(target),
        encoders_(std::move(encoders)),
        target_row_(target.row_bytes(source.columns())) {}

  std::vector<std::byte> run(ThreadPool& pool, QuantizedTensor& summary) const {
    const uint64_t rows = source_.rows() / encoders_.size();
    uint64_t rows_in_chunk = std::max<uint64_t>(1, kChunkElements / source_.columns());
    for (const RowEncoder* encoder : encoders_)
      rows_in_chunk = std::max<uint64_t>(rows_in_chunk, encoder->panel());
    const uint64_t chunks = (rows + rows_in_chunk - 1) / rows_in_chunk;
    std::vector<std::byte> out(source_.rows() * target_row_);
    std::vector<PartErrors> errors(chunks * encoders_.size());
    if (shares_scales(target_)) settle_scales(pool, rows_in_chunk, out);
    pool.parallel_for(static_cast<int>(errors.size()), [&](int part, int) {
      const uint64_t matrix = static_cast<uint64_t>(part) / chunks;
      const uint64_t first = static_cast<uint64_t>(part) % chunks * rows_in_chunk;
      const uint64_t last = std::min(rows, first + rows_in_chunk);
      errors[part] =
          recode_rows(*encoders_[matrix], matrix * rows + first, matrix * rows + last, out);
    });
    PartErrors sum;  // in the order of the rows, so that any number of threads gives the same
    for (const PartErrors& part : errors) {
      sum.error += part.error;
      sum.source += part.source;
      sum.kept_rows += part.kept_rows;
      sum.rounding = std::max(sum.rounding, part.rounding);
    }
    summary.relative_error = sum.source > 0 ? std::sqrt(sum.error / sum.source) : 0;
    summary.kept_rows = sum.kept_rows;
    summary.rounding = sum.rounding;
    return out;
  }

 private:
  // What all rows are to be looked at for: see shared_scales.h.
  void settle_scales(ThreadPool& pool, uint64_t rows_in_chunk, std::span<std::byte> out) const {
    const uint64_t rows = source_.rows(), columns = source_.columns();
    SharedScales scales(*kind_of(target_), rows, columns);
    pool.parallel_for(
        static_cast<int>((rows + rows_in_chunk - 1) / rows_in_chunk), [&](int chunk, int) {
          const uint64_t first = static_cast<uint64_t>(chunk) * rows_in_chunk;
          const uint64_t count = std::min(rows_in_chunk, rows - first);
          std::vector<float> values(count * columns);
          source_.decode(first, count, values);
          require_finite_rows(source_, first, values);
          for (uint64_t row = 0; row < count; ++row)
            scales.observe(first + row, std::span(values).subspan(row * columns, columns));
        });
    scales.settle();
    for (uint64_t row = 0; row < rows; ++row) scales.write(row, out.data() + row * target_row_);
  }

  PartErrors recode_rows(const RowEncoder& encoder, uint64_t first, uint64_t last,
                         std::span<std::byte> out) const {
    const uint64_t columns = source_.columns();
    std::vector<float> values((last - first) * columns);
    source_.decode(first, last - first, values);
    require_finite_rows(source_, first, values);
    PartErrors sum;
    const auto encoded = out.subspan(first * target_row_, (last - first) * target_row_);
    const std::vector<bool> kept = copy_rows(encoder, first, last, encoded.data(), sum);
    for (uint64_t row = 0; row < last - first;) {  // runs of rows that were not
      uint64_t end = row;
      while (end < last - first && !kept[end]) ++end;
      if (end > row) {
        encoder.encode(std::span(values).subspan(row * columns, (end - row) * columns), end - row,
                       encoded.data() + row * target_row_);
      }
      row = end + 1;
    }
    std::vector<float> recoded(values.size());
    target_.decode(encoded.data(), recoded);
    for (size_t i = 0; i < values.size(); ++i) {
      const double difference = static_cast<double>(recoded[i]) - static_cast<double>(values[i]);
      sum.error += difference * difference;
      sum.source += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    }
    return sum;
  }

  // See copy_codes(); columns in an order of their own share no scales with their neighbours.
  std::vector<bool> copy_rows(const RowEncoder& encoder, uint64_t first, uint64_t last,
                              std::byte* out, PartErrors& sum) const {
    std::vector<bool> kept(last - first);
    const uint64_t columns = source_.columns();
    if (encoder.changes_values() || source_.order != nullptr) return kept;
    if (!may_share_grid(*source_.format, target_)) return kept;
    std::vector<std::byte> buffer;
    const auto stored = source_.read(first, last - first, buffer);
    const uint64_t row_bytes = source_.format->row_bytes(columns);
    for (uint64_t row = 0; row < last - first; ++row) {
      const std::byte* from = stored.data() + row * row_bytes;
      const auto rounding =
          copy_codes(*source_.format, from, columns, target_, out + row * target_row_);
      if (!rounding) continue;
      kept[row] = true;
      ++sum.kept_rows;
      sum.rounding = std::max(sum.rounding, *rounding);
    }
    return kept;
  }

  const StoredTensor& source_;
  const Format& target_;
  std::vector<const RowEncoder*> encoders_;
  uint64_t target_row_;
};

}  // namespace

std::vector<std::byte> recode(const StoredTensor& source, const Format& target,
                              const RowEncoder& encoder, ThreadPool& pool,
                              QuantizedTensor& summary) {
  return Recoder(source, target, {&encoder}).run(pool, summary);
}

std::vector<std::byte> recode(const StoredTensor& source, const Format& target,
                              std::span<const std::unique_ptr<RowEncoder>> encoders,
                              ThreadPool& pool, QuantizedTensor& summary) {
  std::vector<const RowEncoder*> each;
  for (const auto& encoder : encoders) each.push_back(encoder.get());
  return Recoder(source, target, std::move(each)).run(pool, summary);
}

void require_finite(const StoredTensor& tensor, ThreadPool& pool) {
  const uint64_t rows = tensor.rows();
  const uint64_t rows_in_chunk = std::max<uint64_t>(1, kChunkElements / tensor.columns());
  pool.parallel_for(static_cast<int>((rows + rows_in_chunk - 1) / rows_in_chunk),
                    [&](int chunk, int) {
                      const uint64_t first = static_cast<uint64_t>(chunk) * rows_in_chunk;
                      const uint64_t count = std::min(rows_in_chunk, rows - first);
                      std::vector<float> values(count * tensor.columns());
                      tensor.decode(first, count, values);
                      require_finite_rows(tensor, first, values);
                    });
}

}  // namespace tessera
