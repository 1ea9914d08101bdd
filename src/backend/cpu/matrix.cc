#include "backend/cpu/matrix.h"

#include <algorithm>
#include <atomic>

#include "backend/cpu/quantized.h"
#include "base/aligned_buffer.h"
#include "base/checked.h"

namespace tessera::cpu {
namespace {

constexpr size_t kArenaBytes = size_t{64} << 20;

// Of a file's bytes, repacked before their pages are given back.
constexpr uint64_t kStretchBytes = uint64_t{8} << 20;

// Kernels of dots take whole blocks of activations.
std::optional<Layout> layout_of(const Format& format, int columns) {
  return columns % kBlock == 0 ? find_layout(format) : std::nullopt;
}

// Rows of a part, a panel at a time.
class Panels {
 public:
  Panels(const Backend::WeightPart& part, int columns)
      : part_(part), row_bytes_(part.format->row_bytes(static_cast<uint64_t>(columns))) {}

  int count() const { return (part_.rows + kPanelRows - 1) / kPanelRows; }
  int rows(int p) const { return std::min(kPanelRows, part_.rows - p * kPanelRows); }
  uint64_t row_bytes() const { return row_bytes_; }
  // In the file, or in `buffer`.
  const std::byte* read(int p, std::vector<std::byte>& buffer) const {
    const uint64_t first = static_cast<uint64_t>(p) * kPanelRows;
    if (part_.source == nullptr) return part_.bytes.data() + first * row_bytes_;
    const auto count = static_cast<uint64_t>(rows(p));
    buffer.resize(count * row_bytes_);
    part_.source->read(part_.first_row + first, count, buffer.data());
    return buffer.data();
  }

 private:
  const Backend::WeightPart& part_;
  uint64_t row_bytes_;
};

// The layout with which a part is multiplied fastest: one that stores no more than its zeros leave,
// if that saves what expanding them costs. The first panel tells whether it is worth to look at all
// of them.
Layout without_zeros(ThreadPool& pool, const Backend::WeightPart& part, int columns,
                     const Layout& dense) {
  if (!dense.may_be_sparse() || !expands_fast()) return dense;
  const Panels panels(part, columns);
  const auto store = [&](int eighths) {
    Layout sparse = dense;
    sparse.kept = eighths;
    return sparse;
  };
  const auto pays = [&](int eighths) {
    // Where memory is fast, 0.78 (Q4_0 of which half is zero) is no gain for one row of activations
    // and a loss for four.
    constexpr double kWorth = 0.77;
    return static_cast<double>(store(eighths).panel_bytes(columns)) <
           kWorth * static_cast<double>(dense.panel_bytes(columns));
  };
  std::atomic<int> most = 0;
  const auto look_at = [&](int p) {
    if (most >= dense.kept) return;
    std::vector<std::byte> buffer;
    const std::byte* rows = panels.read(p, buffer);
    int found = kept_codes(dense, rows, panels.row_bytes(), panels.rows(p), columns);
    if (!pays(found)) found = dense.kept;
    int known = most;
    while (known < found && !most.compare_exchange_weak(known, found)) {
    }
  };
  look_at(0);
  pool.parallel_for(panels.count() - 1, [&](int p, int) { look_at(p + 1); });
  return store(most);
}

Segment segment_of(ThreadPool& pool, const Backend::WeightPart& part, int first_row, int columns) {
  const Format& format = *part.format;
  Segment segment;
  segment.first_row = first_row;
  segment.rows = part.rows;
  segment.layout = layout_of(format, columns);
  if (!segment.layout) {
    const std::optional<FloatLayout> floats = find_float_layout(format);
    if (!floats) fail("no compute layout for weights in format {}", format.name);
    segment.floats = *floats;
  }
  const uint64_t bytes = checked_mul(format.row_bytes(static_cast<uint64_t>(columns)),
                                     static_cast<uint64_t>(part.rows), "bytes of a matrix");
  if (part.source == nullptr && part.bytes.size() != bytes) {
    fail("{} x {} weights in {} take {} bytes, not {}", part.rows, columns, format.name, bytes,
         part.bytes.size());
  }
  if (segment.layout) segment.layout = without_zeros(pool, part, columns, *segment.layout);
  segment.panel_bytes =
      segment.layout ? segment.layout->panel_bytes(columns) : segment.floats.panel_bytes(columns);
  return segment;
}

// Where a part's inputs are: see Segment::input.
size_t input_of(std::span<const uint32_t> order, int columns,
                std::vector<std::vector<uint32_t>>& orders) {
  if (order.empty()) return 0;
  const auto size = static_cast<size_t>(columns);
  if (order.size() != size) fail("an order of {} columns for {}", order.size(), columns);
  std::vector<bool> met(size);
  bool as_given = true;
  for (size_t c = 0; c < size; ++c) {
    if (order[c] >= size || met[order[c]]) fail("the order of columns is no permutation of them");
    met[order[c]] = true;
    as_given &= order[c] == c;
  }
  if (as_given) return 0;
  const auto known = std::ranges::find_if(
      orders, [&](const auto& other) { return std::ranges::equal(other, order); });
  const auto number = static_cast<size_t>(known - orders.begin());
  if (known == orders.end()) orders.emplace_back(order.begin(), order.end());
  return number + 1;
}

// Where each segment's panels begin in the matrix's buffer; sets their strides and `bytes`.
std::vector<size_t> place(std::vector<Segment>& segments, size_t& bytes) {
  const bool alike = segments.size() == 2 && segments[0].rows == segments[1].rows;
  std::vector<size_t> offsets;
  bytes = 0;
  for (Segment& segment : segments) {
    segment.panel_stride =
        alike ? segments[0].panel_bytes + segments[1].panel_bytes : segment.panel_bytes;
    offsets.push_back(alike && bytes > 0 ? segments[0].panel_bytes : bytes);
    const auto panels = static_cast<uint64_t>(segment.panels());
    bytes = checked_add(bytes, checked_mul(segment.panel_bytes, panels, "bytes of a matrix"),
                        "bytes of a matrix");
  }
  return offsets;
}

void repack(ThreadPool& pool, const Backend::WeightPart& part, const Segment& segment, int columns,
            std::byte* first_panel) {
  const Panels panels(part, columns);
  const uint64_t row_bytes = panels.row_bytes();
  const auto repack_one = [&](int p) {
    const int rows = panels.rows(p);
    std::vector<std::byte> buffer;
    const std::byte* from = panels.read(p, buffer);
    std::byte* panel = first_panel + p * segment.panel_stride;
    if (segment.layout) {
      repack_panel(*segment.layout, from, row_bytes, rows, columns, panel);
    } else {
      repack_float_panel(segment.floats, from, rows, columns, panel);
    }
  };
  const uint64_t file_panel_bytes = kPanelRows * row_bytes;
  const int stretch = static_cast<int>(std::max<uint64_t>(1, kStretchBytes / file_panel_bytes));
  for (int first = 0; first < segment.panels(); first += stretch) {
    const int count = std::min(stretch, segment.panels() - first);
    pool.parallel_for(count, [&](int p, int) { repack_one(first + p); });
    if (!part.on_read) continue;
    const uint64_t begin = std::min<uint64_t>(part.bytes.size(), first * file_panel_bytes);
    const uint64_t end = std::min<uint64_t>(part.bytes.size(), begin + count * file_panel_bytes);
    part.on_read(part.bytes.subspan(begin, end - begin));
  }
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

std::shared_ptr<std::byte> WeightArena::take(size_t bytes) {
  if (buffer_ == nullptr || bytes > size_ - used_) {
    size_ = std::max(bytes, kArenaBytes);
    buffer_ = new_buffer(size_);
    used_ = 0;
  }
  std::shared_ptr<std::byte> memory(buffer_, buffer_.get() + used_);
  used_ = std::min(size_, (used_ + bytes + 63) / 64 * 64);
  return memory;
}

std::shared_ptr<std::byte> WeightArena::new_buffer(size_t bytes) const {
  if (file_ != nullptr) return file_->take(bytes);
  const auto buffer = std::make_shared<AlignedBuffer>(bytes);
  return {buffer, buffer->data()};
}

std::unique_ptr<Matrix> load_matrix(ThreadPool& pool, WeightArena& arena,
                                    std::span<const Backend::WeightPart> parts, int columns) {
  if (columns <= 0) fail("a matrix cannot have {} columns", columns);
  auto matrix = std::make_unique<CpuMatrix>();
  matrix->columns = columns;
  matrix->formats = names_of_formats(parts);
  for (const Backend::WeightPart& part : parts) {
    if (part.rows <= 0 || part.rows > INT32_MAX - matrix->rows)
      fail("a matrix cannot have {} more rows", part.rows);
    matrix->segments.push_back(segment_of(pool, part, matrix->rows, columns));
    matrix->segments.back().input = input_of(part.order, columns, matrix->orders);
    matrix->rows += part.rows;
    if (matrix->segments.back().layout) matrix->dot_rows += part.rows;
  }
  std::vector<Segment>& segments = matrix->segments;
  const std::vector<size_t> offsets = place(segments, matrix->bytes);
  matrix->data = arena.take(matrix->bytes);
  matrix->in_file = arena.in_file();
  for (size_t s = 0; s < segments.size(); ++s) {
    std::byte* first_panel = matrix->data.get() + offsets[s];
    segments[s].first_panel = first_panel;
    repack(pool, parts[s], segments[s], columns, first_panel);
  }
  return matrix;
}

}  // namespace tessera::cpu
