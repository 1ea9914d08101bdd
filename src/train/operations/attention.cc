#include "train/operations/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/matrix_product.h"
#include "train/curves.h"
#include "train/row_ranges.h"

namespace tessera::train {
namespace {

constexpr int kQueries = 64;  // whose scores are computed together

// Rows [first, end) of a text against keys [begin, end) of it, all counted from the text's first.
struct Block {
  int first, end, begin;
  int rows() const { return end - first; }
  int keys() const { return end - begin; }
};

// Calls body(block) for each block of queries of a text.
template <class Body>
void for_blocks(const AttentionShape& shape, int count, Body body) {
  for (int first = 0; first < count; first += kQueries) {
    const int begin = shape.window > 0 ? std::max(0, first - shape.window + 1) : 0;
    body(Block{first, std::min(count, first + kQueries), begin});
  }
}

// The columns of a head, in the rows of a text.
template <class Rows>
Rows head_of(Rows x, const TextRows& text, int head, int head_dim) {
  x.data += wide(text.first) * wide(x.stride) + wide(head) * wide(head_dim);
  x.rows = text.count;
  x.columns = head_dim;
  return x;
}

// C = factor A B^T, of rows [a_first, + rows) of A and [b_first, + columns) of B.
void multiply_rows(HostRows a, int a_first, int rows, HostRows b, int b_first, int columns,
                   float factor, float* c) {
  multiply(nullptr, by_rows(a.data + wide(a_first) * wide(a.stride), wide(a.stride)),
           transposed(b.data + wide(b_first) * wide(b.stride), wide(b.stride)), wide(rows),
           wide(a.columns), wide(columns), factor, c, wide(columns), Into::kReplace);
}

// The scores of one head: s after its cap, in the columns that each row sees.
class Scores {
 public:
  Scores(const AttentionShape& shape, int head) : shape_(shape), head_(head) {}

  void compute(const Block& block, HostRows q, HostRows k) {
    keys_ = block.keys();
    values_.resize(wide(block.rows()) * wide(keys_));
    multiply_rows(q, block.first, block.rows(), k, block.begin, keys_, shape_.scale,
                  values_.data());
    for (int r = 0; r < block.rows(); ++r) {
      const auto [begin, end] = seen(block, r);
      const std::span<float> row = this->row(r);
      std::fill(row.begin(), row.begin() + begin, 0.0f);
      std::fill(row.begin() + end, row.end(), 0.0f);
      const float slope = shape_.slopes.empty() ? 0 : shape_.slopes[wide(head_)];
      if (slope == 0 && shape_.soft_cap == 0) continue;
      for (int j = begin; j < end; ++j) {
        float& score = row[wide(j)];
        score -= slope * static_cast<float>(end - 1 - j);
        if (shape_.soft_cap > 0) score = shape_.soft_cap * std::tanh(score / shape_.soft_cap);
      }
    }
  }
  std::span<float> row(int r) {
    return std::span(values_).subspan(wide(r) * wide(keys_), wide(keys_));
  }
  // Which of its columns row r sees; the others are 0.
  struct Range {
    int begin, end;
  };
  Range seen(const Block& block, int r) const {
    const int position = block.first + r;
    const int from = shape_.window > 0 ? std::max(0, position - shape_.window + 1) : 0;
    return {from - block.begin, position + 1 - block.begin};
  }
  std::span<float> seen_of(const Block& block, int r) {
    const auto [begin, end] = seen(block, r);
    return row(r).subspan(wide(begin), wide(end - begin));
  }
  const float* data() const { return values_.data(); }

 private:
  const AttentionShape& shape_;
  int head_, keys_ = 0;
  std::vector<float> values_;
};

// Turns dout . v_j, the changes of a block's weights, into those of its scores: what q and k are to
// be multiplied with. Of the scores become the weights.
void change_scores(const AttentionShape& shape, const Block& block, Scores& scores,
                   HostRows log_sums, HostRows out, HostRows dout, std::vector<float>& changes) {
  for (int r = 0; r < block.rows(); ++r) {
    const auto o = out.row(block.first + r), d = dout.row(block.first + r);
    const auto mean = static_cast<float>(std::inner_product(o.begin(), o.end(), d.begin(), 0.0));
    const auto [begin, end] = scores.seen(block, r);
    float *score = scores.row(r).data(), *change = changes.data() + wide(r) * wide(block.keys());
    std::fill(change, change + begin, 0.0f);
    std::fill(change + end, change + block.keys(), 0.0f);
    for (int j = begin; j < end; ++j) {
      const float share = shape.soft_cap > 0 ? score[j] / shape.soft_cap : 0;
      change[j] = (change[j] - mean) * (1 - share * share) * shape.scale;
    }
    const std::span<float> seen(score + begin, wide(end - begin));
    exponentials(seen, log_sums.row(block.first + r)[0], seen.data());
    for (int j = begin; j < end; ++j) change[j] *= score[j];
  }
}

}  // namespace

void attend(ThreadPool& pool, const AttentionShape& shape, std::span<const TextRows> texts,
            HostRows q, HostRows k, HostRows v, HostTensor out, HostTensor log_sums) {
  const int dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  pool.parallel_for(static_cast<int>(texts.size()) * shape.heads, [&](int task, int) {
    const TextRows& text = texts[wide(task / shape.heads)];
    const int head = task % shape.heads;
    const HostRows queries = head_of(q, text, head, dim),
                   keys = head_of(k, text, head / group, dim),
                   values = head_of(v, text, head / group, dim);
    const HostTensor to = head_of(out, text, head, dim), sums = head_of(log_sums, text, head, 1);
    Scores scores(shape, head);
    for_blocks(shape, text.count, [&](const Block& block) {
      scores.compute(block, queries, keys);
      for (int r = 0; r < block.rows(); ++r) {
        const std::span<float> seen = scores.seen_of(block, r);
        const float most = largest(seen), sum = exponentials(seen, most, seen.data());
        for (float& weight : seen) weight /= sum;
        sums.row(block.first + r)[0] = most + std::log(sum);
      }
      multiply(nullptr, by_rows(scores.data(), wide(block.keys())),
               by_rows(values.data + wide(block.begin) * wide(values.stride), wide(values.stride)),
               wide(block.rows()), wide(block.keys()), wide(dim), 1, to.row(block.first),
               wide(to.stride), Into::kReplace);
    });
  });
}

void attend_back(ThreadPool& pool, const AttentionShape& shape, std::span<const TextRows> texts,
                 HostRows q, HostRows k, HostRows v, HostRows out, HostRows log_sums, HostRows dout,
                 HostTensor dq, HostTensor dk, HostTensor dv) {
  const int dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  // The heads that share a key add to it in turn.
  pool.parallel_for(static_cast<int>(texts.size()) * shape.kv_heads, [&](int task, int) {
    const TextRows& text = texts[wide(task / shape.kv_heads)];
    const int kv_head = task % shape.kv_heads;
    const HostRows keys = head_of(k, text, kv_head, dim), values = head_of(v, text, kv_head, dim);
    const HostTensor to_keys = head_of(dk, text, kv_head, dim),
                     to_values = head_of(dv, text, kv_head, dim);
    std::vector<float> changes;
    for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const HostRows queries = head_of(q, text, head, dim), outs = head_of(out, text, head, dim),
                     douts = head_of(dout, text, head, dim),
                     sums = head_of(log_sums, text, head, 1);
      const HostTensor to_queries = head_of(dq, text, head, dim);
      Scores scores(shape, head);
      for_blocks(shape, text.count, [&](const Block& block) {
        const size_t rows = wide(block.rows()), count = wide(block.keys());
        changes.resize(rows * count);
        scores.compute(block, queries, keys);
        multiply_rows(douts, block.first, block.rows(), values, block.begin, block.keys(), 1,
                      changes.data());
        change_scores(shape, block, scores, sums, outs, douts, changes);
        const auto rows_of = [&](HostRows x, int first) {
          return by_rows(x.data + wide(first) * wide(x.stride), wide(x.stride));
        };
        multiply(nullptr, transposed(scores.data(), count), rows_of(douts, block.first), count,
                 rows, wide(dim), 1, to_values.row(block.begin), wide(to_values.stride),
                 Into::kAdd);
        multiply(nullptr, transposed(changes.data(), count), rows_of(queries, block.first), count,
                 rows, wide(dim), 1, to_keys.row(block.begin), wide(to_keys.stride), Into::kAdd);
        multiply(nullptr, by_rows(changes.data(), count), rows_of(keys, block.begin), rows, count,
                 wide(dim), 1, to_queries.row(block.first), wide(to_queries.stride), Into::kAdd);
      });
    }
  });
}

}  // namespace tessera::train
