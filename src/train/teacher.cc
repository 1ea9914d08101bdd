#include "train/teacher.h"

#include <algorithm>

#include "base/assert.h"
#include "train/row_ranges.h"
#include "train/trunk.h"

namespace tessera::train {

ModelTeacher::ModelTeacher(Model& model) : model_(model) {
  model.require_logits();
}

void ModelTeacher::read(std::span<const Example> examples) {
  const std::vector<float> all = hidden_states(model_, examples);
  const size_t columns = wide(embedding());
  hidden_.clear();
  auto row = all.begin();
  for (const Example& example : examples) {
    for (const Token target : example.targets) {
      const auto end = row + static_cast<ptrdiff_t>(columns);
      if (target != kNothing) hidden_.insert(hidden_.end(), row, end);
      row = end;
    }
  }
}

HostRows ModelTeacher::hidden(int first, int count) const {
  const size_t columns = wide(embedding());
  TESSERA_ASSERT(wide(first + count) * columns <= hidden_.size());
  return {hidden_.data() + wide(first) * columns, count, embedding(), embedding()};
}

HostRows ModelTeacher::logits(int first, int count) {
  if (count > some_.rows) {
    const int room = std::max(count, 2 * some_.rows);  // what was there before stays
    some_ = model_.backend().allocate(room, embedding());
    logits_ = model_.backend().allocate(room, vocabulary());
  }
  const Tensor some = some_.top(count), logits = logits_.top(count);
  const HostRows rows = hidden(first, count);
  model_.backend().upload(std::span(rows.data, wide(count) * wide(embedding())), some);
  model_.project(some, logits);
  return model_.backend().download(logits);
}

}  // namespace tessera::train
