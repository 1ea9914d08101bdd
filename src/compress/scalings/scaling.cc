#include "compress/scalings/scaling.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "checkpoint/role_kinds.h"

namespace tessera {
namespace {

class ScaledRows final : public RowSource {
 public:
  ScaledRows(StoredTensor base, std::vector<float> rows, std::vector<float> columns)
      : base_(std::move(base)), rows_(std::move(rows)), columns_(std::move(columns)) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const uint64_t columns = base_.columns();
    std::vector<float> values(count * columns);
    base_.decode(first, count, values);
    for (uint64_t row = 0; row < count; ++row) {
      float* at = values.data() + row * columns;
      const float* by = columns_.data() + (columns_.size() > columns ? (first + row) * columns : 0);
      for (uint64_t c = 0; !columns_.empty() && c < columns; ++c) at[c] *= by[c];
      for (uint64_t c = 0; !rows_.empty() && c < columns; ++c) at[c] *= rows_[first + row];
    }
    kF32.encode(values, out, {});
  }
  std::vector<std::span<const std::byte>> stored() const override { return base_.stored(); }

 private:
  StoredTensor base_;
  std::vector<float> rows_, columns_;
};

// One value for each source, from those of its channels.
template <typename Combine>
std::vector<float> gather(const Fold& fold, std::span<const float> channels, Combine combine) {
  std::vector<float> sources(static_cast<size_t>(fold.sources), 0.0f);
  for (size_t c = 0; c < channels.size(); ++c) {
    float& at = sources[static_cast<size_t>(fold.source[c])];
    at = combine(at, channels[c]);
  }
  return sources;
}

}  // namespace

std::vector<float> ScaledChannels::mean_magnitudes() const {
  const auto sharing = static_cast<float>(fold.source.size()) / static_cast<float>(fold.sources);
  return gather(fold, inputs.mean_magnitudes(),
                [&](float sum, float x) { return sum + x / sharing; });
}

std::vector<float> ScaledChannels::largest_magnitudes() const {
  return gather(fold, inputs.largest_magnitudes(), [](float a, float b) { return std::max(a, b); });
}

ChosenMethod choose_method(std::string_view name) {
  const size_t plus = name.find('+');
  const std::string_view first = name.substr(0, plus);
  for (const Scaling* scaling : {&kAwq, &kSmoothQuant}) {
    if (first != scaling->name) continue;
    if (plus == std::string_view::npos) return {*scaling->method, scaling};
    ChosenMethod behind = choose_method(name.substr(plus + 1));
    if (behind.scaling != nullptr) break;
    behind.scaling = scaling;
    return behind;
  }
  if (plus == std::string_view::npos) return {require_method(name)};
  const auto is_grid = [&](const Method* method) {
    return method->name == first && method->takes != nullptr && method->without_text != nullptr;
  };
  const auto grid = std::ranges::find_if(all_methods(), is_grid);
  const Method& method = require_method(grid == all_methods().end() ? name : name.substr(plus + 1));
  if (!method.takes_grid)
    fail("{} finds scales and zeros for gptq, not for {}", first, method.name);
  return {.method = method, .grid = *grid};
}

StoredTensor scaled(const StoredTensor& tensor, std::vector<float> rows,
                    std::vector<float> columns) {
  StoredTensor result = tensor;
  result.source = std::make_shared<ScaledRows>(tensor, std::move(rows), std::move(columns));
  result.format = &kF32;
  result.bytes = {};
  result.order = nullptr;
  return result;
}

void scale_layer(const Scaling& scaling, const Checkpoint& checkpoint, std::span<const Fold> folds,
                 int layer, const std::function<const Format&(const StoredTensor&)>& plan,
                 InputsOfLayer& moments, ChangedTensors& changed, ThreadPool& pool) {
  const auto now = [&](const StoredTensor& tensor) -> const StoredTensor& {
    const auto found = changed.find(&tensor);
    return found == changed.end() ? tensor : found->second;
  };
  const auto multiply = [&](const StoredTensor& tensor, std::vector<float> rows,
                            std::vector<float> columns) {
    changed.insert_or_assign(&tensor, scaled(now(tensor), std::move(rows), std::move(columns)));
  };
  for (const Fold& fold : folds) {
    InputMoments& inputs = moments.at(fold.inputs);
    ScaledChannels channels{.fold = fold, .matrices = {}, .inputs = inputs};
    for (const TensorRole role : fold.matrices) {
      const StoredTensor& tensor = checkpoint.require({role, layer});
      channels.matrices.push_back({&now(tensor), &plan(tensor)});
    }
    const std::vector<float> scales = scaling.choose(channels, pool);
    if (scales.empty()) continue;
    const std::vector<float> columns = fold.spread(scales);
    for (const TensorRole role : fold.matrices)
      multiply(checkpoint.require({role, layer}), {}, columns);
    for (const auto& [role, first] : fold.divided) {
      const StoredTensor& tensor = checkpoint.require({role, layer});
      // A norm may be stored in rows, one for each group.
      const bool is_vector = tensor.shape.size() == 1 || is_norm(role);
      std::vector<float> factors(is_vector ? tensor.elements() : tensor.rows(), 1.0f);
      for (size_t i = 0; i < scales.size(); ++i)
        factors[static_cast<size_t>(first) + i] = 1 / scales[i];
      is_vector ? multiply(tensor, {}, std::move(factors))
                : multiply(tensor, std::move(factors), {});
    }
    inputs.divide(columns);
    // What attention averages of the same inputs.
    if (const auto values = moments.find(TapPoint::kValueInput);
        fold.inputs == TapPoint::kQkvInput && values != moments.end())
      values->second.divide(columns);
  }
}

}  // namespace tessera
