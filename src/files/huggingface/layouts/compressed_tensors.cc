// compressed-tensors (llm-compressor, vLLM): what a module X is stored as follows from its tensors.
//
//   pack-quantized   X.weight_packed I32 [out, ...]: q + 2^(bits - 1), from the lowest bits on; the
//                    old writers put as many whole codes into a word as fit, the new ones leave no
//                    gaps. X.weight_shape I64 [2]; X.weight_zero_point I32 packed so along out;
//                    X.weight_g_idx I32 [in]: the group of each input
//   int-quantized    X.weight I8 [out, in]; X.weight_zero_point I8, shaped as the scales are
//   float-quantized  X.weight E4M3 [out, in]            (naive-quantized: one of these two)
//   nvfp4            X.weight_packed U8 [out, in / 2]; X.weight_scale E4M3 [out, in / 16];
//                    X.weight_global_scale F32 [1], which divides them
//   mxfp4            X.weight_packed U8 [out, in / 2]; X.weight_scale U8 [out, in / 32], E8M0
//
// X.weight_scale: one, [out, 1], [out, groups], or blocks [out / 128, in / 128]. Any may be sparse
// besides (sparse.cc). Which of config_groups a module is of matters to pack-quantized only, which
// does not store its bits, and to blocks.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/fp8.h"
#include "files/huggingface/layouts/group_order.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/mxfp4.h"
#include "files/huggingface/layouts/name_pattern.h"
#include "files/huggingface/layouts/nvfp4.h"
#include "files/huggingface/layouts/quantized_matrix.h"
#include "files/huggingface/layouts/scales.h"
#include "files/huggingface/layouts/sparse.h"

namespace tessera::huggingface {
namespace {

struct Target {
  std::string name;                    // of a module, or of a class of them
  std::optional<NamePattern> pattern;  // "re:..."
};

struct Scheme {
  std::vector<Target> targets;
  int bits = 8;
  uint64_t group = 0;  // 0: as the scales say
  uint64_t block_rows = 128, block_columns = 128;
};

void read_block(const Settings& weights, Scheme& scheme) {
  const nlohmann::json* block = weights.find("block_structure");
  if (block == nullptr) return;
  const auto is_size = [](const nlohmann::json& n) {
    return n.is_number_unsigned() && n.get<uint64_t>() > 0;
  };
  if (!block->is_array() || block->size() != 2 || !std::ranges::all_of(*block, is_size))
    weights.refuse("block_structure", "[rows, columns]");
  scheme.block_rows = block->at(0).get<uint64_t>();
  scheme.block_columns = block->at(1).get<uint64_t>();
}

std::vector<Scheme> schemes_of(const Settings& config) {
  std::vector<Scheme> schemes;
  size_t patterns = 0;
  const auto groups = config.object("config_groups");
  if (!groups) return schemes;
  for (const auto& [name, settings] : groups->objects()) {
    const auto weights = settings.object("weights");
    if (!weights) continue;  // of activations alone
    Scheme scheme;
    const int64_t bits = weights->integer("num_bits", 8);
    if (bits < 1 || bits > 8) weights->refuse("num_bits", "1 to 8");
    scheme.bits = static_cast<int>(bits);
    const int64_t group = weights->integer("group_size", 0);
    if (group > 0) scheme.group = static_cast<uint64_t>(group);
    read_block(*weights, scheme);
    for (const std::string& target : settings.texts("targets")) {
      if (++patterns > kMostNamePatterns) config.refuse("config_groups", "4096 targets at most");
      scheme.targets.push_back({target, std::nullopt});
      if (target.starts_with("re:")) scheme.targets.back().pattern.emplace(target.substr(3));
    }
    schemes.push_back(std::move(scheme));
  }
  return schemes;
}

// The schemes that a module may be of, the most likely first: exact names go before patterns, and
// these before classes, of which nothing is known here.
std::vector<const Scheme*> candidates(const std::vector<Scheme>& schemes,
                                      const std::string& module) {
  std::vector<const Scheme*> found[3];
  for (const Scheme& scheme : schemes) {
    const auto add_to = [&](int rank) { found[rank].push_back(&scheme); };
    for (const Target& target : scheme.targets) {
      if (target.name == module) {
        add_to(0);
      } else if (!target.pattern) {
        add_to(2);
      } else if (target.pattern->matches(module)) {
        add_to(1);
      }
    }
  }
  found[0].insert(found[0].end(), found[1].begin(), found[1].end());
  found[0].insert(found[0].end(), found[2].begin(), found[2].end());
  return found[0];
}

class Module {
 public:
  Module(const RawTensors& tensors, const std::vector<Scheme>& schemes, std::string name)
      : tensors_(tensors), name_(std::move(name)), candidates_(candidates(schemes, name_)) {}

  StoredTensor read_packed() const;  // X.weight_packed
  StoredTensor read_bytes() const;   // X.weight, I8 or FP8

 private:
  StoredTensor read_words(const StoredTensor& packed, const StoredTensor& scales) const;
  StoredTensor read_mxfp4(const StoredTensor& packed, const StoredTensor& scales) const;
  const StoredTensor* find(const char* part) const { return tensors_.find(name_ + part); }
  const StoredTensor& require(const char* part) const { return tensors_.require(name_ + part); }

  const RawTensors& tensors_;
  std::string name_;
  std::vector<const Scheme*> candidates_;
};

// Of weight_shape: columns first.
std::vector<uint64_t> shape_of(const StoredTensor& tensor) {
  static constexpr auto kIntegers = std::to_array<std::string_view>({"I64", "I32"});
  expect_dtype(tensor, kIntegers);
  if (tensor.elements() != 2)
    fail("tensor '{}' has {} numbers, expected 2", printable(tensor.name), tensor.elements());
  std::vector<uint64_t> shape;
  for (size_t i : {1u, 0u}) {
    int64_t size = 0;
    if (tensor.format->block_bytes == 8) {
      std::memcpy(&size, tensor.bytes.data() + i * 8, 8);
    } else {
      int32_t narrow;
      std::memcpy(&narrow, tensor.bytes.data() + i * 4, 4);
      size = narrow;
    }
    if (size < 1 || size > (int64_t{1} << 40))
      fail("tensor '{}' has the size {}, expected rows and columns", printable(tensor.name), size);
    shape.push_back(static_cast<uint64_t>(size));
  }
  return shape;
}

StoredTensor Module::read_words(const StoredTensor& packed, const StoredTensor& scales) const {
  const StoredTensor& shape = require(".weight_shape");
  QuantizedMatrix matrix;
  matrix.name = name_ + ".weight";
  matrix.shape = shape_of(shape);
  const uint64_t columns = matrix.shape[0], rows = matrix.shape[1];
  expect_axes(packed, 2);
  bool dense = true;
  const auto fits = [&](const Scheme* scheme) {
    for (const bool without_gaps : {true, false}) {
      dense = without_gaps;
      if (torch_shape(packed) == std::vector{rows, words_of(columns, scheme->bits, dense)})
        return true;
    }
    return false;
  };
  const auto found = std::ranges::find_if(candidates_, fits);
  if (found == candidates_.end()) {
    fail("tensor '{}' has the shape [{}], which no scheme of config_groups has for [{}, {}]",
         printable(packed.name), fmt::join(torch_shape(packed), ", "), rows, columns);
  }
  matrix.bits = (*found)->bits;
  matrix.zero_point = 1 << (matrix.bits - 1);
  matrix.codes = row_word_codes(packed.bytes, columns, matrix.bits, dense);
  matrix.stored = {packed.bytes};
  set_group_scales(matrix, scales, (*found)->group);
  const uint64_t groups = scales.elements() == 1 ? 1 : scales.elements() / rows;
  const uint64_t group = matrix.group == 0 ? columns : matrix.group;
  if (const StoredTensor* zeros = find(".weight_zero_point")) {
    if (zeros->format->name == "I32") {
      expect_shape(*zeros, {words_of(rows, matrix.bits, dense), groups});
      matrix.zeros = column_packed_grid(zeros->bytes, matrix.bits, dense, group, groups);
    } else {
      expect_dtype(*zeros, "I8");
      expect_shape(*zeros, torch_shape(scales));
      const uint64_t across = scales.elements() == 1 ? 0 : groups;
      matrix.zeros =
          byte_grid(zeros->bytes, static_cast<uint8_t>(matrix.zero_point), group, across);
    }
    matrix.stored.push_back(zeros->bytes);
  }
  if (const StoredTensor* g_idx = find(".weight_g_idx")) set_groups(matrix, *g_idx, groups);
  return put_together(std::move(matrix));
}

StoredTensor Module::read_mxfp4(const StoredTensor& packed, const StoredTensor& scales) const {
  constexpr uint64_t kColumns = 32;
  static constexpr auto kExponents = std::to_array<std::string_view>({"U8", "F8_E8M0"});
  expect_axes(packed, 2);
  const uint64_t columns = packed.shape[0] * 2, rows = packed.shape[1];
  if (columns % kColumns != 0)
    fail("tensor '{}' has {} columns, expected a multiple of 32", printable(packed.name), columns);
  expect_dtype(scales, kExponents);
  expect_shape(scales, {rows, columns / kColumns});
  return mxfp4_tensor(name_ + ".weight", {columns, rows}, packed.bytes, scales.bytes);
}

StoredTensor Module::read_packed() const {
  const StoredTensor& packed = require(".weight_packed");
  if (find(".meta") != nullptr || find(".scale_packed") != nullptr)
    fail("'{}': marlin-24, a layout of single kernels, is not supported", printable(name_));
  const StoredTensor& scales = require(".weight_scale");
  if (packed.format->name == "I32") return read_words(packed, scales);
  expect_dtype(packed, "U8");
  const StoredTensor* global = find(".weight_global_scale");
  if (global == nullptr) return read_mxfp4(packed, scales);
  return nvfp4_tensor(name_ + ".weight", packed, scales, *global, true);
}

StoredTensor Module::read_bytes() const {
  const StoredTensor& weight = require(".weight");
  const StoredTensor& scales = require(".weight_scale");
  QuantizedMatrix matrix;
  expect_axes(weight, 2);
  const uint64_t columns = weight.shape[0], rows = weight.shape[1];
  const Scheme standard;
  const Scheme& scheme = candidates_.empty() ? standard : *candidates_.front();
  if (is_fp8(weight)) {
    matrix = fp8_matrix(weight);
    const bool blocks =
        scales.shape.size() == 2 && scales.shape[1] != rows && scales.elements() > 1;
    if (blocks) {
      set_block_scales(matrix, scales, scheme.block_rows, scheme.block_columns);
    } else {
      set_group_scales(matrix, scales, scheme.group);
    }
    return put_together(std::move(matrix));
  }
  expect_dtype(weight, "I8");
  matrix.name = weight.name;
  matrix.shape = weight.shape;
  matrix.bits = 8;
  matrix.zero_point = 128;
  matrix.codes = codes_of(weight, 0x80);
  matrix.stored = weight.stored();
  set_group_scales(matrix, scales, scheme.group);
  if (const StoredTensor* zeros = find(".weight_zero_point")) {
    expect_dtype(*zeros, "I8");
    expect_shape(*zeros, torch_shape(scales));
    const uint64_t across = scales.elements() == 1 ? 0 : scales.elements() / rows;
    matrix.zeros =
        byte_grid(zeros->bytes, 0x80, matrix.group == 0 ? columns : matrix.group, across);
    matrix.stored.push_back(zeros->bytes);
  }
  return put_together(std::move(matrix));
}

}  // namespace

void apply_compressed_tensors(const Settings& config, RawTensors& tensors) {
  const std::vector<Scheme> schemes = schemes_of(config);
  fill_in_zeros(tensors);
  for (const std::string& name : tensors.modules(".weight_packed"))
    tensors.replace(name + ".weight_packed", Module(tensors, schemes, name).read_packed());
  for (const std::string& name : tensors.modules(".weight_scale")) {
    const StoredTensor* weight = tensors.find(name + ".weight");
    if (weight == nullptr) fail("tensor '{}' is missing", printable(name + ".weight"));
    if (weight->format->name == "I8" || is_fp8(*weight))
      tensors.replace(name + ".weight", Module(tensors, schemes, name).read_bytes());
    for (const char* part : {".weight_scale", ".weight_zero_point", ".weight_shape",
                             ".weight_g_idx", ".weight_global_scale", ".input_global_scale",
                             ".input_zero_point", ".output_zero_point"}) {
      tensors.drop(name + part);
    }
  }
  drop_activation_scales(tensors);
}

}  // namespace tessera::huggingface
