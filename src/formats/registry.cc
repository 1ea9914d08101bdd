// The list of all formats. Sizes: ggml's type list (ggml.h, ggml-common.h).
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"

namespace tessera {
namespace {

constexpr Format known_by_size(std::string_view name, uint32_t elements, uint32_t bytes) {
  return {.name = name, .block_elements = elements, .block_bytes = bytes};
}

constexpr Format kUnsupported[] = {
    known_by_size("Q8_1", 32, 36), known_by_size("Q8_K", 256, 292), known_by_size("I8", 1, 1),
    known_by_size("I16", 1, 2),    known_by_size("I32", 1, 4),      known_by_size("I64", 1, 8),
    known_by_size("F64", 1, 8),    known_by_size("I2_S", 128, 32),  // and a scale behind them
};

std::vector<const Format*>& formats() {
  static std::vector<const Format*> list = [] {
    std::vector<const Format*> known = {&kF32,    &kF16,    &kQ4_0,    &kQ4_1,  &kQ5_0,  &kQ5_1,
                                        &kQ8_0,   &kQ2_K,   &kQ3_K,    &kQ4_K,  &kQ5_K,  &kQ6_K,
                                        &kIQ4_NL, &kIQ4_XS, &kBF16,    &kMXFP4, &kTQ1_0, &kTQ2_0,
                                        &kQ1_0,   &kQ2_0,   &kNVFP4,   &kIQ1_S, &kIQ1_M, &kIQ2_XXS,
                                        &kIQ2_XS, &kIQ2_S,  &kIQ3_XXS, &kIQ3_S};
    for (const Format& format : kUnsupported) known.push_back(&format);
    return known;
  }();
  return list;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string supported_names() {
  std::string names;
  for (const Format* format : formats()) {
    if (!format->supported()) continue;
    if (!names.empty()) names += ", ";
    names += format->name;
  }
  return names;
}

}  // namespace

void Format::decode(const std::byte* src, std::span<float> dst) const {
  if (quantized == nullptr) return decode_values(src, dst);
  decode_quantized(*quantized, static_cast<int>(block_elements), block_bytes, src, dst);
}

uint64_t Format::row_bytes(uint64_t elements) const {
  if (elements % block_elements != 0) {
    fail("a row of {} elements is not a whole number of {} blocks of {} elements", elements, name,
         block_elements);
  }
  return checked_mul(elements / block_elements, block_bytes, "bytes of a row");
}

std::span<const Format* const> all_formats() {
  return formats();
}

void add_format(const Format& format) {
  if (find_format(format.name)) fail("there is a number format {} already", format.name);
  formats().push_back(&format);
}

const Format* find_format(std::string_view name) {
  const auto found = std::ranges::find_if(
      formats(), [=](const Format* format) { return same_name(format->name, name); });
  return found == formats().end() ? nullptr : *found;
}

const Format& require_format(std::string_view name) {
  const Format* format = find_format(name);
  if (!format) fail("unknown number format \"{}\" (known: {})", name, supported_names());
  if (!format->supported()) {
    fail("number format {} is not supported yet (supported: {})", format->name, supported_names());
  }
  return *format;
}

}  // namespace tessera
