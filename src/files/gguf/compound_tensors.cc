#include "files/gguf/compound_tensors.h"

#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "formats/grouped.h"
#include "formats/shared_scales.h"

namespace tessera::gguf {
namespace {

constexpr std::string_view kI2S = "I2_S";
constexpr uint64_t kTernaryBlock = 128, kTernaryBytes = 32, kTernaryTail = 32;
constexpr GroupedKind kTernary = {.bits = 2, .f32_scales = true, .zero_point = 1, .group = 128};

void check_finite(float scale, const StoredTensor& tensor) {
  if (!std::isfinite(scale))
    fail("tensor '{}': its scale is {}, expected a number", printable(tensor.name), scale);
}

// A tensor of GGUF whose rows are written in another format, block by block.
class CompoundRows : public RowSource {
 public:
  std::vector<std::span<const std::byte>> stored() const override { return stored_; }

 protected:
  explicit CompoundRows(const StoredTensor& tensor)
      : bytes_(tensor.bytes), columns_(tensor.columns()), stored_(tensor.stored()) {}
  const uint8_t* at(uint64_t offset) const {
    return reinterpret_cast<const uint8_t*>(bytes_.data()) + offset;
  }

  const std::span<const std::byte> bytes_;
  const uint64_t columns_;
  std::vector<std::span<const std::byte>> stored_;
};

class TernaryRows final : public CompoundRows {
 public:
  explicit TernaryRows(const StoredTensor& tensor) : CompoundRows(tensor) {
    std::memcpy(&scale_, bytes_.data() + bytes_.size() - kTernaryTail, sizeof(scale_));
    check_finite(scale_, tensor);
  }

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const uint64_t blocks = columns_ / kTernaryBlock;
    for (uint64_t block = first * blocks; block < (first + count) * blocks; ++block) {
      const uint8_t* packed = at(block * kTernaryBytes);
      std::array<uint8_t, kTernaryBlock> codes;
      for (size_t i = 0; i < kTernaryBlock; ++i) {
        const auto code =
            static_cast<uint8_t>((packed[i % kTernaryBytes] >> (6 - 2 * (i / kTernaryBytes))) & 3);
        codes[i] = code == 3 ? 1 : code;
      }
      write_grouped_block(kTernary, scale_, 0, codes, out);
      out += kTernary.block_bytes();
    }
  }

 private:
  float scale_ = 0;
};

constexpr GroupedKind kScaledFloats = {
    .codes = GroupedCodes::kE2M1, .f32_scales = true, .group = 16};

class ScaledRows final : public CompoundRows {
 public:
  // One factor for `rows_each` rows.
  ScaledRows(const StoredTensor& tensor, const StoredTensor& factors, uint64_t rows_each)
      : CompoundRows(tensor), factors_(factors.elements()), rows_each_(rows_each) {
    factors.format->decode(factors.bytes.data(), factors_);
    for (const float factor : factors_) check_finite(factor, factors);
    stored_.push_back(factors.bytes);
  }

  void read(uint64_t first, uint64_t count, std::byte* out) const override {
    const uint64_t row_bytes = kNVFP4.row_bytes(columns_);
    BlockParts parts;
    for (uint64_t row = first; row < first + count; ++row) {
      const float factor = factors_[row / rows_each_];
      for (uint64_t offset = 0; offset < row_bytes; offset += kNVFP4.block_bytes) {
        kNVFP4.quantized->split(at(row * row_bytes + offset), parts);
        for (size_t group = 0; group < 4; ++group) {
          const float scale = ue4m3_to_f32(static_cast<uint8_t>(parts.scales[group])) * factor;
          const auto codes = std::span(parts.codes).subspan(16 * group, 16);
          write_grouped_block(kScaledFloats, scale, 0, codes, out);
          out += kScaledFloats.block_bytes();
        }
      }
    }
  }

 private:
  std::vector<float> factors_;
  const uint64_t rows_each_;
};

StoredTensor with_source(const StoredTensor& tensor, const GroupedKind& kind,
                         std::shared_ptr<const RowSource> source) {
  StoredTensor joined = tensor;
  joined.format = &grouped_format(kind);
  joined.bytes = {};
  joined.source = std::move(source);
  return joined;
}

StoredTensor multiply(const StoredTensor& weight, const StoredTensor& factors) {
  // Experts are the third axis.
  const uint64_t experts = weight.shape.size() == 3 ? weight.shape[2] : 1;
  if (factors.format != &kF32)
    fail("tensor '{}' has format {}, expected F32", printable(factors.name), factors.format->name);
  if (factors.shape.size() != 1 || factors.elements() != experts) {
    fail("tensor '{}' holds {} numbers, expected {}, beside a tensor of {} x {}",
         printable(factors.name), factors.elements(), experts, weight.columns(), weight.rows());
  }
  return with_source(weight, kScaledFloats,
                     std::make_shared<const ScaledRows>(weight, factors, weight.rows() / experts));
}

}  // namespace

uint64_t tail_bytes(const Format& format) {
  return format.name == kI2S ? kTernaryTail : 0;
}

const Format& factored_nvfp4() {
  static const Format& format = grouped_format(
      {.codes = GroupedCodes::kE2M1, .f32_scales = true, .group = 16, .scope = ScaleScope::kE4M3});
  return format;
}

FactoredRows factored_rows(std::span<const std::byte> rows) {
  const Format& format = factored_nvfp4();
  const size_t groups = kNVFP4.block_elements / format.block_elements;
  FactoredRows factored;
  factored.blocks.resize(rows.size() / format.block_bytes / groups * kNVFP4.block_bytes);
  BlockParts parts;
  const std::byte* group = rows.data();
  for (size_t at = 0; at < factored.blocks.size(); at += kNVFP4.block_bytes) {
    auto* block = reinterpret_cast<uint8_t*>(factored.blocks.data() + at);
    for (size_t g = 0; g < groups; ++g, group += format.block_bytes) {
      const ScaleNote note = scale_note(*kind_of(format), group);
      factored.factor = note.common == 0 ? 1 : 1 / note.common;
      format.quantized->split(reinterpret_cast<const uint8_t*>(group), parts);
      block[g] = note.code;
      for (size_t i = 0; i < 8; ++i)
        block[groups + 8 * g + i] =
            static_cast<uint8_t>(parts.codes[i] | (parts.codes[i + 8] << 4));
    }
  }
  return factored;
}

void join_compounds(std::vector<StoredTensor>& tensors) {
  constexpr std::string_view kWeight = ".weight";
  std::map<std::string, const StoredTensor*, std::less<>> by_name;
  for (const StoredTensor& tensor : tensors) by_name.emplace(tensor.name, &tensor);
  std::set<std::string, std::less<>> joined;
  std::vector<StoredTensor> result;
  result.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) {
    if (tensor.format->name == kI2S) {
      result.push_back(with_source(tensor, kTernary, std::make_shared<const TernaryRows>(tensor)));
      continue;
    }
    result.push_back(tensor);
    if (tensor.format != &kNVFP4 || !tensor.name.ends_with(kWeight)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    joined.insert(module + ".input_scale");
    const auto factors = by_name.find(module + ".scale");
    if (factors == by_name.end()) continue;
    result.back() = multiply(tensor, *factors->second);
    joined.insert(factors->first);
  }
  std::erase_if(result, [&](const StoredTensor& tensor) { return joined.contains(tensor.name); });
  tensors = std::move(result);
}

}  // namespace tessera::gguf
