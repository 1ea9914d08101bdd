// Matrices as stacks of segments, and how their product is shared among threads. The arithmetic is
// in quantized.cc and float_panel.cc; nothing here may change a bit of it.
#include "backend/cpu/linear.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/float_panel.h"
#include "backend/cpu/layout.h"
#include "backend/cpu/quantized.h"
#include "base/checked.h"

namespace tessera::cpu {
namespace {

// A part of a matrix in one layout: panels behind each other, the last one padded with zero rows.
struct Segment {
  const Layout* layout = nullptr;  // nullptr: floats
  FloatKind float_kind = FloatKind::kF32;
  int first_row = 0, rows = 0;
  size_t panel_bytes = 0;
  AlignedBuffer data;

  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  const std::byte* panel(int p) const { return data.data() + p * panel_bytes; }
};

class CpuMatrix final : public Matrix {
 public:
  std::vector<Segment> segments;
};

// Of a file's bytes, repacked before their pages are given back.
constexpr uint64_t kStretchBytes = uint64_t{8} << 20;

Segment load_segment(ThreadPool& pool, const Backend::WeightPart& part, int first_row,
                     int columns) {
  const Format& format = *part.format;
  Segment segment;
  segment.first_row = first_row;
  segment.rows = part.rows;
  segment.layout = find_layout(format);
  if (segment.layout == nullptr && !find_float_kind(format, segment.float_kind)) {
    fail("no compute layout for weights in format {}", format.name);
  }
  const uint64_t row_bytes = format.row_bytes(static_cast<uint64_t>(columns));
  const uint64_t bytes =
      checked_mul(row_bytes, static_cast<uint64_t>(part.rows), "bytes of a matrix");
  if (part.bytes.size() != bytes) {
    fail("{} x {} weights in {} take {} bytes, not {}", part.rows, columns, format.name, bytes,
         part.bytes.size());
  }
  segment.panel_bytes = segment.layout != nullptr ? segment.layout->panel_bytes(columns)
                                                  : float_panel_bytes(segment.float_kind, columns);
  const auto panels = static_cast<uint64_t>(segment.panels());
  segment.data = AlignedBuffer(checked_mul(segment.panel_bytes, panels, "bytes of a matrix"));
  const auto repack = [&](int p) {
    const std::byte* from = part.bytes.data() + static_cast<size_t>(p) * kPanelRows * row_bytes;
    const int rows = std::min(kPanelRows, part.rows - p * kPanelRows);
    std::byte* panel = segment.data.data() + p * segment.panel_bytes;
    if (segment.layout != nullptr) {
      repack_panel(*segment.layout, from, row_bytes, rows, columns, panel);
    } else {
      repack_float_panel(segment.float_kind, from, rows, columns, panel);
    }
  };
  const uint64_t file_panel_bytes = kPanelRows * row_bytes;
  const int stretch = static_cast<int>(std::max<uint64_t>(1, kStretchBytes / file_panel_bytes));
  for (int first = 0; first < segment.panels(); first += stretch) {
    const int count = std::min(stretch, segment.panels() - first);
    pool.parallel_for(count, [&](int p, int) { repack(first + p); });
    const uint64_t begin = first * file_panel_bytes;
    const uint64_t end = std::min<uint64_t>(bytes, begin + count * file_panel_bytes);
    if (part.on_read) part.on_read(part.bytes.subspan(begin, end - begin));
  }
  return segment;
}

// --- the product

// Rows of activations that one piece of work takes: as many as the second-level cache holds, and
// sums on the stack.
constexpr int kMostRows = 64 * kTileRows;
constexpr size_t kActivationBytes = size_t{1} << 20;

int rows_of_piece(int rows, int columns, size_t value_bytes) {
  const size_t fit =
      kActivationBytes / (static_cast<size_t>(columns) * value_bytes) / kTileRows * kTileRows;
  return std::min(rows, static_cast<int>(std::clamp<size_t>(fit, kTileRows, kMostRows)));
}

struct Product {
  const CpuMatrix& matrix;
  Tensor x, out;
  std::span<const float> bias;
  QuantizedRows quantized;
  std::vector<const int32_t*> terms;  // of each segment
};

// y = sums + bias for one panel.
void store(const Product& product, const Segment& segment, int panel, int first_row, int end_row,
           const float (*sums)[kPanelRows]) {
  const int first = segment.first_row + panel * kPanelRows;
  const int count = std::min(kPanelRows, segment.rows - panel * kPanelRows);
  for (int row = first_row; row < end_row; ++row) {
    const float* sum = sums[row - first_row];
    float* y = product.out.row(row) + first;
    if (product.bias.empty()) {
      std::copy_n(sum, count, y);
    } else {
      for (int i = 0; i < count; ++i) y[i] = sum[i] + product.bias[static_cast<size_t>(first + i)];
    }
  }
}

void multiply(const Product& product, size_t s, int first_panel, int end_panel, int first_row,
              int end_row) {
  const Segment& segment = product.matrix.segments[s];
  if (segment.layout != nullptr) {
    alignas(64) float sums[kMostRows][kPanelRows];
    const int end_tile = (end_row + kTileRows - 1) / kTileRows;
    for (int p = first_panel; p < end_panel; ++p) {
      multiply_panel(*segment.layout, segment.panel(p), product.quantized, product.terms[s],
                     first_row / kTileRows, end_tile, sums);
      store(product, segment, p, first_row, end_row, sums);
    }
    return;
  }
  alignas(64) float sums[kMostRows][kPanelRows];
  for (int p = first_panel; p < end_panel; ++p) {
    multiply_float_panel(segment.float_kind, segment.panel(p), product.x, first_row, end_row, sums);
    store(product, segment, p, first_row, end_row, sums);
  }
}

// Panels that one piece of work takes: enough to be worth claiming, few enough to keep threads
// level.
int panels_of_piece(const Segment& segment, int rows, int threads) {
  constexpr size_t kWorthBytes =
      32 << 10;  // read from memory, or multiplied with one row: some microseconds
  const size_t bytes = segment.panel_bytes * static_cast<size_t>(std::max(1, rows / 4));
  const int worth = static_cast<int>(
      std::min<size_t>(64, (kWorthBytes + bytes - 1) / std::max<size_t>(1, bytes)));
  const int level = std::max(1, segment.panels() / (4 * threads));
  return std::min(std::max(1, worth), level);
}

void run(ThreadPool& pool, const Product& product, size_t value_bytes) {
  const auto& segments = product.matrix.segments;
  const int rows = rows_of_piece(product.x.rows, product.x.columns, value_bytes);
  // Pieces of a range of rows: those of the first segment, then of the second, ...
  std::vector<int> piece_panels, ends;
  int pieces = 0;
  for (const Segment& segment : segments) {
    piece_panels.push_back(panels_of_piece(segment, rows, pool.threads()));
    pieces += (segment.panels() + piece_panels.back() - 1) / piece_panels.back();
    ends.push_back(pieces);
  }
  const int ranges = (product.x.rows + rows - 1) / rows;
  pool.parallel_for(pieces * ranges, [&](int index, int) {
    const int first_row = index / pieces * rows;
    const int piece = index % pieces;
    const auto s =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), piece) - ends.begin());
    const int panels = piece_panels[s];
    const int first_panel = (piece - (s == 0 ? 0 : ends[s - 1])) * panels;
    multiply(product, s, first_panel, std::min(first_panel + panels, segments[s].panels()),
             first_row, std::min(first_row + rows, product.x.rows));
  });
}

bool same_terms(const Layout& a, const Layout& b) {
  return scale_columns(a.scales) == scale_columns(b.scales) &&
         has_min(a.scales) == has_min(b.scales) && a.zero_point == b.zero_point;
}

// Hands out pieces of the scratch buffer, each on its own cache line.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}
  template <typename T>
  T* take(size_t count) {
    auto* at = reinterpret_cast<T*>(base_ + used_);
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return at;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

// Quantizes product.x and makes the terms of every segment that wants them.
void quantize(ThreadPool& pool, LinearScratch& scratch, Product& product) {
  QuantizedRows& quantized = product.quantized;
  quantized.rows = product.x.rows;
  quantized.columns = product.x.columns;
  const size_t rows = static_cast<size_t>(quantized.padded_rows());
  const auto columns = static_cast<size_t>(padded_blocks(quantized.columns)) * kBlock;

  std::vector<const Layout*> kinds;  // of terms
  std::vector<int32_t*> kind_terms;
  const auto carve = [&](std::byte* base) {
    Carver carver(base);
    quantized.codes = carver.take<int8_t>(rows * columns);
    quantized.scales = carver.take<float>(rows * columns / kBlock);
    quantized.sums = carver.take<int32_t>(rows * columns / 16);
    kinds.clear();
    kind_terms.clear();
    product.terms.clear();
    for (const Segment& segment : product.matrix.segments) {
      product.terms.push_back(nullptr);
      if (segment.layout == nullptr) continue;
      const auto same = [&](const Layout* kind) { return same_terms(*kind, *segment.layout); };
      const auto found = std::find_if(kinds.begin(), kinds.end(), same);
      const auto index = static_cast<size_t>(found - kinds.begin());
      if (found == kinds.end()) {
        kinds.push_back(segment.layout);
        kind_terms.push_back(carver.take<int32_t>(
            rows * columns / static_cast<size_t>(scale_columns(segment.layout->scales))));
      }
      product.terms.back() = kind_terms[index];
    }
    return carver.used();
  };
  const size_t bytes = carve(nullptr);
  if (scratch.buffer.size() < bytes) scratch.buffer = AlignedBuffer(bytes);
  carve(scratch.buffer.data());

  const auto quantize_and_sum = [&](int tile, int) {
    quantize_tile(product.x, tile, quantized);
    for (size_t i = 0; i < kinds.size(); ++i) make_terms(*kinds[i], quantized, tile, kind_terms[i]);
  };
  pool.parallel_for(quantized.tiles(), quantize_and_sum);
}

// The names of the parts' formats, each once: "Q4_K+Q6_K".
std::string names_of_formats(std::span<const Backend::WeightPart> parts) {
  std::string names;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto same = [&](const Backend::WeightPart& part) {
      return part.format == parts[i].format;
    };
    if (std::any_of(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(i), same)) continue;
    if (!names.empty()) names += '+';
    names += parts[i].format->name;
  }
  return names;
}

}  // namespace

std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, std::span<const Backend::WeightPart> parts,
                                    int columns) {
  if (columns <= 0) fail("a matrix cannot have {} columns", columns);
  auto matrix = std::make_unique<CpuMatrix>();
  matrix->columns = columns;
  matrix->formats = names_of_formats(parts);
  for (const Backend::WeightPart& part : parts) {
    if (part.rows <= 0 || part.rows > INT32_MAX - matrix->rows)
      fail("a matrix cannot have {} more rows", part.rows);
    matrix->segments.push_back(load_segment(pool, part, matrix->rows, columns));
    matrix->rows += part.rows;
    matrix->bytes += matrix->segments.back().data.size();
    if (matrix->segments.back().layout != nullptr) matrix->dot_rows += part.rows;
  }
  return matrix;
}

void linear(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, Tensor x,
            std::span<const float> bias, Tensor out) {
  const auto& matrix = dynamic_cast<const CpuMatrix&>(weights);
  if (x.rows == 0 || matrix.rows == 0) return;
  Product product{matrix, x, out, bias, {}, {}};
  const bool quantized =
      std::any_of(matrix.segments.begin(), matrix.segments.end(),
                  [](const Segment& segment) { return segment.layout != nullptr; });
  if (quantized) quantize(pool, scratch, product);
  run(pool, product, quantized ? 2 : sizeof(float));
}

}  // namespace tessera::cpu
