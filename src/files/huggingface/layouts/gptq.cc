// GPTQ (Frantar et al. 2022) as AutoGPTQ and GPTQModel write it. For each module X, in -> out:
//
//   X.qweight  I32 [in * bits / 32, out]     a dense stream down each column, lowest bits first
//   X.qzeros   I32 [groups, out * bits / 32] along each row
//   X.scales   F16 [groups, out]
//   X.g_idx    I32 [in]                      the group of each input: any order with desc_act
//
// w[out][in] = scale * (q - zero). Format "gptq" (v1) stores zero - 1, within its bits; "gptq_v2"
// the zero itself.
#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/layouts/checks.h"
#include "files/huggingface/layouts/group_order.h"
#include "files/huggingface/layouts/kinds.h"
#include "files/huggingface/layouts/name_pattern.h"
#include "files/huggingface/layouts/quantized_matrix.h"

namespace tessera::huggingface {
namespace {

struct GptqScheme {
  int bits;
  uint64_t group;  // 0: a whole row
};

GptqScheme scheme_of(const Settings& settings, const GptqScheme& standard) {
  const int64_t bits = settings.integer("bits", standard.bits);
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8) settings.refuse("bits", "2, 3, 4 or 8");
  int64_t group = settings.integer("group_size", static_cast<int64_t>(standard.group));
  if (group == -1) group = 0;
  if (group < 0) settings.refuse("group_size", "-1 (a row) or more");
  return {static_cast<int>(bits), static_cast<uint64_t>(group)};
}

// Schemes of some modules ("dynamic"): "+:PATTERN" or PATTERN overrides, "-:PATTERN" leaves a
// module as it was, so it has no qweight.
struct Override {
  NamePattern pattern;
  GptqScheme scheme;
};

std::vector<Override> overrides_of(const Settings& config, const GptqScheme& standard) {
  std::vector<Override> overrides;
  const auto dynamic = config.object("dynamic");
  if (!dynamic) return overrides;
  for (const auto& [key, settings] : dynamic->objects()) {
    if (key.starts_with("-:")) continue;
    if (overrides.size() == kMostNamePatterns) config.refuse("dynamic", "4096 patterns at most");
    const std::string pattern = key.starts_with("+:") ? key.substr(2) : key;
    overrides.push_back({NamePattern(pattern), scheme_of(settings, standard)});
  }
  return overrides;
}

struct Parts {
  const StoredTensor &weight, &zeros, &scales;
  const StoredTensor* groups;  // g_idx; nullptr: in their order
  uint64_t rows, columns;
};

// Do the shapes agree with the scheme?
bool fits(const Parts& parts, const GptqScheme& scheme) {
  const auto bits = static_cast<uint64_t>(scheme.bits);
  const uint64_t unit = scheme.bits == 3 ? 32 : 32 / bits;
  if (parts.columns % unit != 0 ||
      parts.weight.shape[1] != parts.columns / unit * (unit * bits / 32))
    return false;
  const uint64_t groups = scheme.group == 0 ? 1 : ceil_div(parts.columns, scheme.group);
  return torch_shape(parts.scales) == std::vector{groups, parts.rows} &&
         torch_shape(parts.zeros) == std::vector{groups, words_of(parts.rows, scheme.bits, true)};
}

Parts parts_of(const RawTensors& tensors, const std::string& module) {
  const StoredTensor& weight = tensors.require(module + ".qweight");
  const StoredTensor& zeros = tensors.require(module + ".qzeros");
  const StoredTensor& scales = tensors.require(module + ".scales");
  const StoredTensor* groups = tensors.find(module + ".g_idx");
  expect_dtype(weight, "I32");
  expect_dtype(zeros, "I32");
  expect_floats(scales);
  for (const StoredTensor* tensor : {&weight, &zeros, &scales}) expect_axes(*tensor, 2);
  if (groups != nullptr) {
    expect_dtype(*groups, "I32");
  }
  return {weight, zeros, scales, groups, weight.shape[0], groups != nullptr ? groups->shape[0] : 0};
}

StoredTensor read(const RawTensors& tensors, const std::string& module,
                  std::span<const GptqScheme> schemes, bool is_v1) {
  Parts parts = parts_of(tensors, module);
  const auto scheme = std::ranges::find_if(schemes, [&](const GptqScheme& candidate) {
    if (parts.groups == nullptr) {  // as many inputs as there are codes
      parts.columns = parts.weight.shape[1] * 32 / static_cast<uint64_t>(candidate.bits);
    }
    return parts.columns <= UINT32_MAX && fits(parts, candidate);
  });
  if (scheme == schemes.end()) {
    fail(
        "'{}': qweight [{}], qzeros [{}] and scales [{}] of {} inputs do not fit {} bits in groups "
        "of {}",
        printable(module), fmt::join(torch_shape(parts.weight), ", "),
        fmt::join(torch_shape(parts.zeros), ", "), fmt::join(torch_shape(parts.scales), ", "),
        parts.columns, schemes.back().bits,
        schemes.back().group == 0 ? "a row" : fmt::format("{}", schemes.back().group));
  }
  const uint64_t group = scheme->group == 0 ? parts.columns : scheme->group;

  QuantizedMatrix matrix;
  matrix.name = module + ".weight";
  matrix.shape = {parts.columns, parts.rows};
  matrix.bits = scheme->bits;
  matrix.group = group;
  matrix.values = parts.scales.format;
  matrix.codes = column_word_codes(parts.weight.bytes, parts.rows, parts.columns, scheme->bits);
  matrix.scales = float_grid({.format = parts.scales.format,
                              .bytes = parts.scales.bytes,
                              .columns = group,
                              .row_step = 1,
                              .column_step = parts.rows});
  matrix.zeros = packed_grid({.bytes = parts.zeros.bytes,
                              .bits = scheme->bits,
                              .add = is_v1 ? 1 : 0,
                              .columns = group,
                              .row_bits = static_cast<uint64_t>(scheme->bits),
                              .column_bits = parts.zeros.shape[0] * 32});
  matrix.stored = {parts.weight.bytes, parts.zeros.bytes, parts.scales.bytes};
  if (parts.groups != nullptr) set_groups(matrix, *parts.groups, parts.scales.shape[1]);
  return put_together(std::move(matrix));
}

}  // namespace

void apply_gptq(const Settings& config, RawTensors& tensors) {
  const std::string format = config.text("checkpoint_format", config.text("format", "gptq"));
  if (format != "gptq" && format != "gptq_v2")
    config.refuse(config.find("checkpoint_format") ? "checkpoint_format" : "format",
                  "gptq or gptq_v2");
  const GptqScheme standard = scheme_of(config, {.bits = 4, .group = 128});
  const std::vector<Override> overrides = overrides_of(config, standard);
  for (const std::string& module : tensors.modules(".qweight")) {
    std::vector<GptqScheme> schemes;
    for (const Override& candidate : overrides)
      if (candidate.pattern.matches(module)) schemes.push_back(candidate.scheme);
    schemes.push_back(standard);
    StoredTensor tensor = read(tensors, module, schemes, format == "gptq");
    tensors.replace(module + ".qweight", std::move(tensor));
    for (const char* part : {".qzeros", ".scales", ".g_idx"}) tensors.drop(module + part);
  }
}

}  // namespace tessera::huggingface
