// How a product is shared among threads. The arithmetic is in dot_kernels-inl.h and float_panel.cc;
// nothing here may change a bit of it.
#include "backend/cpu/linear.h"

#include <algorithm>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/low_rank.h"
#include "backend/cpu/outliers.h"
#include "backend/cpu/quantized.h"
#include "base/error.h"

namespace tessera::cpu {
namespace {

// Activations as segments of one order of columns meet them.
struct Input {
  HostTensor x;
  bool dots;  // some segment meets them quantized
  QuantizedRows quantized;
  HostTensor rest = {};  // x without its outliers, if they are taken apart
  // Of each tile, as they are found; then of each range of rows that pieces take, sorted.
  std::vector<std::vector<Outlier>> found = {}, outliers = {};
};

struct Product {
  const CpuMatrix& matrix;
  HostTensor x, out;
  std::span<const float> bias;
  const Activation* gated;  // nullptr: out has all rows of the matrix
  AddedProducts added;
  std::vector<Input> inputs = {};          // as they are given, then one for each order
  int range_rows = 1;                      // of activations that a piece takes at most
  std::vector<const int32_t*> terms = {};  // of each segment
};

bool same_terms(const Layout& a, const Layout& b) {
  return a.scale_columns == b.scale_columns && has_min(a.scales) == has_min(b.scales) &&
         a.zero_point == b.zero_point;
}

// Terms that segments of one input and one kind share.
struct Terms {
  size_t input;
  const Layout* layout;
  int32_t* data;
};

// Column c of `to` is column order[c] of `from`.
void gather_columns(std::span<const uint32_t> order, const float* from, float* to) {
  for (size_t c = 0; c < order.size(); ++c) to[c] = from[order[c]];
}

// Makes the inputs and the terms of every segment that wants them.
void prepare(ThreadPool& pool, Scratch& scratch, Product& product) {
  const CpuMatrix& matrix = product.matrix;
  const HostTensor& x = product.x;
  product.inputs.assign(1 + matrix.orders.size(), {x, false, {}});
  std::vector<Terms> kinds;
  const auto find_kind = [&](const Segment& segment) {
    return std::ranges::find_if(kinds, [&](const Terms& kind) {
      return kind.input == segment.input && same_terms(*kind.layout, *segment.layout);
    });
  };
  for (const Segment& segment : matrix.segments) {
    if (!segment.layout) continue;
    product.inputs[segment.input].dots = true;
    if (find_kind(segment) == kinds.end()) {
      kinds.push_back({segment.input, &*segment.layout, nullptr});
    }
  }
  if (kinds.empty() && matrix.orders.empty()) return;

  QuantizedRows shape;
  shape.rows = x.rows;
  shape.columns = x.columns;
  const size_t values = static_cast<size_t>(shape.padded_rows()) *
                        static_cast<size_t>(padded_blocks(shape.columns)) * kBlock;
  const size_t floats = static_cast<size_t>(x.rows) * static_cast<size_t>(x.columns);
  const auto term_count = [&](const Layout& layout) {
    return values / static_cast<size_t>(layout.scale_columns);
  };
  const bool apart = matrix.outlier_threshold > 0;  // outliers: rows are copied without them
  size_t bytes = matrix.orders.size() * floats * sizeof(float);
  size_t arrays = matrix.orders.size() + kinds.size();
  for (const Input& input : product.inputs) {
    if (!input.dots) continue;
    if (apart) bytes += floats * sizeof(float), ++arrays;
    bytes += values + values / kBlock * sizeof(float) + values / 16 * sizeof(int32_t);
    arrays += 3;
  }
  for (const Terms& kind : kinds) bytes += term_count(*kind.layout) * sizeof(int32_t);

  Arena arena = scratch.reserve(bytes, arrays);
  for (size_t i = 0; i < product.inputs.size(); ++i) {
    Input& input = product.inputs[i];
    if (i > 0) input.x = {arena.take<float>(floats), x.rows, x.columns, x.columns};
    if (!input.dots) continue;
    if (apart) {
      input.rest = {arena.take<float>(floats), x.rows, x.columns, x.columns};
      input.found.resize(static_cast<size_t>(shape.tiles()));
    }
    input.quantized = shape;
    input.quantized.codes = arena.take<int8_t>(values);
    input.quantized.scales = arena.take<float>(values / kBlock);
    input.quantized.sums = arena.take<int32_t>(values / 16);
  }
  for (Terms& kind : kinds) kind.data = arena.take<int32_t>(term_count(*kind.layout));
  for (const Segment& segment : matrix.segments) {
    product.terms.push_back(segment.layout ? find_kind(segment)->data : nullptr);
  }

  pool.parallel_for(shape.tiles(), [&](int tile, int) {
    for (size_t i = 0; i < product.inputs.size(); ++i) {
      Input& input = product.inputs[i];
      const int first = tile * kTileRows, end = std::min(x.rows, first + kTileRows);
      for (int row = first; i > 0 && row < end; ++row) {
        gather_columns(matrix.orders[i - 1], x.row(row), input.x.row(row));
      }
      if (!input.dots) continue;
      for (int row = first; apart && row < end; ++row) {
        take_outliers(input.x.row(row), x.columns, matrix.outlier_threshold, row,
                      input.rest.row(row), input.found[static_cast<size_t>(tile)]);
      }
      quantize_tile(apart ? input.rest : input.x, tile, input.quantized);
    }
    for (const Terms& kind : kinds) {
      make_terms(*kind.layout, product.inputs[kind.input].quantized, tile, kind.data);
    }
  });
}

// Once for all panels: each decodes a column of weights once, for all rows of its range.
void sort_outliers(Product& product) {
  for (Input& input : product.inputs) {
    if (input.found.empty()) continue;
    const auto range_rows = static_cast<size_t>(product.range_rows);
    input.outliers.resize((static_cast<size_t>(product.x.rows) + range_rows - 1) / range_rows);
    for (const auto& tile : input.found) {
      for (const Outlier& outlier : tile)
        input.outliers[static_cast<size_t>(outlier.row) / range_rows].push_back(outlier);
    }
    for (auto& range : input.outliers) std::sort(range.begin(), range.end());
  }
}

// --- what one piece of work does

// Rows of activations that a piece takes: as many as the second-level cache holds, and sums on the
// stack.
constexpr int kMostRows = 64 * kTileRows;
constexpr size_t kActivationBytes = size_t{1} << 20;
using Sums = float[kMostRows][kPanelRows];

int rows_of_piece(int rows, int columns, size_t value_bytes) {
  const size_t fit =
      kActivationBytes / (static_cast<size_t>(columns) * value_bytes) / kTileRows * kTileRows;
  return std::min(rows, static_cast<int>(std::clamp<size_t>(fit, kTileRows, kMostRows)));
}

struct RowRange {
  int begin, end;
};

void multiply(const Product& product, size_t s, int panel, RowRange rows, Sums& sums) {
  const Segment& segment = product.matrix.segments[s];
  const Input& input = product.inputs[segment.input];
  product.added.fetch(segment.first_row + panel * kPanelRows);
  if (segment.layout) {
    multiply_panel(*segment.layout, segment.panel(panel), input.quantized, product.terms[s],
                   rows.begin / kTileRows, (rows.end + kTileRows - 1) / kTileRows, sums);
    if (!input.outliers.empty()) {
      const auto& outliers = input.outliers[static_cast<size_t>(rows.begin / product.range_rows)];
      add_outliers(*segment.layout, segment.panel(panel), product.x.columns, outliers, rows.begin,
                   sums);
    }
  } else {
    multiply_float_panel(segment.floats, segment.panel(panel), input.x, rows.begin, rows.end, sums);
  }
  product.added.add(segment.first_row + panel * kPanelRows, rows.begin, rows.end, sums);
}

// y = W x + bias for one panel.
void project(const Product& product, size_t s, int panel, RowRange rows) {
  alignas(64) Sums sums;
  multiply(product, s, panel, rows, sums);
  const Segment& segment = product.matrix.segments[s];
  const int first = segment.first_row + panel * kPanelRows;
  const int count = std::min(kPanelRows, segment.rows - panel * kPanelRows);
  for (int row = rows.begin; row < rows.end; ++row) {
    const float* sum = sums[row - rows.begin];
    float* y = product.out.row(row) + first;
    if (!product.bias.empty()) {
      for (int i = 0; i < count; ++i) y[i] = sum[i] + product.bias[static_cast<size_t>(first + i)];
    } else if (count == kPanelRows) {
      std::copy_n(sum, kPanelRows, y);  // a constant count: no call
    } else {
      std::copy_n(sum, count, y);
    }
  }
}

void add_bias(std::span<const float> bias, int rows, Sums& sums) {
  for (int row = 0; row < rows; ++row) {
    for (size_t i = 0; i < bias.size(); ++i) sums[row][i] += bias[i];
  }
}

// y = activation(W_gate x + b_gate) * (W_up x + b_up) for one panel of each.
void project_gated(const Product& product, int panel, RowRange rows) {
  alignas(64) Sums gate, up;
  multiply(product, 0, panel, rows, gate);
  multiply(product, 1, panel, rows, up);
  const int first = panel * kPanelRows, count = rows.end - rows.begin;
  const int columns = std::min(kPanelRows, product.out.columns - first);
  if (!product.bias.empty()) {
    const auto begin = static_cast<size_t>(first), size = static_cast<size_t>(columns);
    add_bias(product.bias.subspan(begin, size), count, gate);
    add_bias(product.bias.last(product.bias.size() / 2).subspan(begin, size), count, up);
  }
  const HostTensor out = product.out.slice(first, columns);
  gated(*product.gated, {gate[0], count, columns, kPanelRows}, {up[0], count, columns, kPanelRows},
        {out.row(rows.begin), count, columns, out.stride});
}

// --- pieces

// Panels are numbered through all segments, and through all ranges of rows: those of the first
// range, then of the second, ...
class Work {
 public:
  Work(const Product& product, int rows)
      : product_(product), rows_(rows), ranges_((product.x.rows + rows - 1) / rows), panels_(0) {
    for (const Segment& segment : product.matrix.segments) {
      panels_ += segment.panels();
      if (product.gated != nullptr) break;  // a panel stands for its pair
    }
  }

  int units() const { return panels_ * ranges_; }

  void run(int begin, int end) const {
    for (int unit = begin; unit < end; ++unit) {
      const int first_row = unit / panels_ * rows_;
      const RowRange rows = {first_row, std::min(first_row + rows_, product_.x.rows)};
      int panel = unit % panels_;
      if (product_.gated != nullptr) {
        project_gated(product_, panel, rows);
        continue;
      }
      size_t s = 0;
      for (; panel >= product_.matrix.segments[s].panels(); ++s) {
        panel -= product_.matrix.segments[s].panels();
      }
      project(product_, s, panel, rows);
    }
  }

 private:
  const Product& product_;
  int rows_, ranges_, panels_;
};

// Where pieces end: ever smaller ones (guided self-scheduling, Polychronopoulos and Kuck 1987). A
// thread reads few long stretches of memory, and all are done at the same time.
void cut(int units, int threads, int least, std::vector<int>& ends) {
  ends.clear();
  int done = 0;
  while (done < units) {
    const int left = units - done;
    done += threads == 1 ? left : std::min(left, std::max(least, left / (2 * threads)));
    ends.push_back(done);
  }
}

// Panels that are worth claiming: some microseconds of reading, or of multiplying.
int least_panels(const CpuMatrix& matrix, int rows) {
  constexpr size_t kWorthBytes = 16 << 10;
  const size_t bytes = matrix.segments[0].panel_bytes * static_cast<size_t>(std::max(1, rows / 4));
  return static_cast<int>(std::clamp<size_t>(kWorthBytes / std::max<size_t>(1, bytes), 1, 64));
}

void run(ThreadPool& pool, LinearScratch& scratch, Product& product) {
  if (product.x.rows == 0 || product.matrix.rows == 0) return;
  prefetch(product.matrix);  // again of those that somebody has announced: it takes microseconds
  const auto& segments = product.matrix.segments;
  const bool quantized = std::any_of(segments.begin(), segments.end(), [](const Segment& segment) {
    return segment.layout.has_value();
  });
  prepare(pool, scratch.activations, product);
  const int rows = rows_of_piece(product.x.rows, product.x.columns, quantized ? 2 : sizeof(float));
  product.range_rows = rows;
  sort_outliers(product);
  const Work work(product, rows);
  cut(work.units(), pool.threads(), least_panels(product.matrix, rows), scratch.piece_ends);
  const auto& ends = scratch.piece_ends;
  // Indices are claimed in their order: all of A x has been begun when W x is.
  const int first = product.added.pieces();
  pool.parallel_for(first + static_cast<int>(ends.size()), [&](int index, int) {
    if (index < first) return product.added.run(index);
    const auto p = static_cast<size_t>(index - first);
    work.run(p == 0 ? 0 : ends[p - 1], ends[p]);
  });
}

}  // namespace

void linear(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, HostTensor x,
            std::span<const float> bias, HostTensor out, std::span<const LowRankRows> added) {
  Product product{dynamic_cast<const CpuMatrix&>(weights),  x, out, bias, nullptr,
                  {scratch.added, pool.threads(), added, x}};
  run(pool, scratch, product);
}

void linear_gated(ThreadPool& pool, LinearScratch& scratch, const Matrix& weights, HostTensor x,
                  std::span<const float> bias, Activation activation, HostTensor out,
                  std::span<const LowRankRows> added) {
  const auto& matrix = dynamic_cast<const CpuMatrix&>(weights);
  if (matrix.segments.size() != 2 || matrix.segments[0].rows != matrix.segments[1].rows) {
    fail("a gated product needs a matrix of two parts alike, gate and up");
  }
  Product product{matrix, x, out, bias, &activation, {scratch.added, pool.threads(), added, x}};
  run(pool, scratch, product);
}

}  // namespace tessera::cpu
