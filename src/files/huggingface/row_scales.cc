#include "files/huggingface/row_scales.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

class MultipliedRows final : public RowSource {
 public:
  MultipliedRows(StoredTensor from, std::vector<RowScale> scales)
      : from_(std::move(from)), scales_(std::move(scales)) {}

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    std::vector<float> values(count * from_.columns());
    from_.decode(first, count, values);
    uint64_t begin = 0;
    for (const RowScale& scale : scales_) {
      const uint64_t end = begin + scale.rows;
      for (uint64_t row = std::max(first, begin); row < std::min(first + count, end); ++row)
        for (float& value :
             std::span(values).subspan((row - first) * from_.columns(), from_.columns()))
          value *= scale.factor;
      begin = end;
    }
    kF32.encode(values, out, {});
  }
  std::vector<std::span<const std::byte>> stored() const override { return from_.stored(); }

 private:
  const StoredTensor from_;
  const std::vector<RowScale> scales_;
};

// So many multipliers of a list; those of a model that says nothing are 1.
std::vector<float> multipliers(const ConfigReader& config, std::string_view key, size_t count) {
  auto list = config.numbers(key).value_or(std::vector<float>(count, 1.0f));
  if (list.size() != count) fail("key '{}': {} numbers, expected {}", key, list.size(), count);
  return list;
}

}  // namespace

RowScales read_row_scales(const ConfigReader& config, const RecurrentShape& shape) {
  using enum TensorRole;
  if (config.boolean("mamba_rms_norm") == true && config.boolean("mamba_norm_before_gate") != false)
    fail("key 'mamba_norm_before_gate': true is not supported beside mamba_rms_norm");
  const auto one = [&](std::string_view key) {
    return static_cast<float>(config.number(key).value_or(1));
  };
  const auto all = [](float factor) { return std::vector<RowScale>{{.factor = factor}}; };
  const float in = one("attention_in_multiplier"), ssm_in = one("ssm_in_multiplier");
  const std::vector<float> mlp = multipliers(config, "mlp_multipliers", 2),
                           ssm = multipliers(config, "ssm_multipliers", 5);
  RowScales scales = {{kTokenEmbedding, all(one("embedding_multiplier"))},
                      {kOutput, all(one("lm_head_multiplier"))},
                      {kQuery, all(in)},
                      {kKey, all(in * one("key_multiplier"))},
                      {kValue, all(in)},
                      {kAttentionOutput, all(one("attention_out_multiplier"))},
                      {kGate, all(mlp[0])},
                      {kDown, all(mlp[1])},
                      {kRecurrentOutput, all(one("ssm_out_multiplier"))}};
  const auto values = static_cast<uint64_t>(shape.heads * shape.value_dim),
             keys = static_cast<uint64_t>(shape.key_heads * shape.key_dim);
  std::vector<RowScale>& input = scales[kRecurrentInput];
  for (const uint64_t rows : {values, values, keys, keys, static_cast<uint64_t>(shape.heads)})
    input.push_back({.rows = rows, .factor = ssm_in * ssm[input.size()]});
  std::erase_if(scales, [](const auto& entry) {
    return std::ranges::all_of(entry.second, [](const RowScale& s) { return s.factor == 1; });
  });
  return scales;
}

StoredTensor scale_rows(const StoredTensor& tensor, TensorRole role, const RowScales& scales) {
  const auto found = scales.find(role);
  if (found == scales.end() || !tensor.format->supported()) return tensor;
  std::vector<RowScale> parts = found->second;
  uint64_t rows = 0;
  for (RowScale& part : parts) {
    if (part.rows == 0) part.rows = tensor.rows() - rows;
    rows += part.rows;
  }
  if (rows != tensor.rows())
    fail("tensor '{}' has {} rows, expected {}", printable(tensor.name), tensor.rows(), rows);
  StoredTensor scaled = tensor;
  scaled.format = &kF32;
  scaled.bytes = {};
  scaled.order = nullptr;
  scaled.source = std::make_shared<const MultipliedRows>(tensor, std::move(parts));
  return scaled;
}

}  // namespace tessera::huggingface
