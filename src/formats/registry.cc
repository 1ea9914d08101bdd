// The list of all formats. Sizes and type ids: ggml's type list (ggml.h, ggml-common.h), which is
// what GGUF files refer to.
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"

namespace tessera {
namespace {

constexpr Format known_by_size(std::string_view name, uint32_t ggml_type, uint32_t elements,
                               uint32_t bytes) {
  return {.name = name, .ggml_type = ggml_type, .block_elements = elements, .block_bytes = bytes};
}

// The ids that are missing (4, 5, 31-33, 36-38) belonged to formats that left the specification.
constexpr Format kUnsupported[] = {
    // name, id, elements, bytes
    known_by_size("Q8_1", 9, 32, 36),      known_by_size("Q8_K", 15, 256, 292),
    known_by_size("IQ2_XXS", 16, 256, 66), known_by_size("IQ2_XS", 17, 256, 74),
    known_by_size("IQ3_XXS", 18, 256, 98), known_by_size("IQ1_S", 19, 256, 50),
    known_by_size("IQ3_S", 21, 256, 110),  known_by_size("IQ2_S", 22, 256, 82),
    known_by_size("I8", 24, 1, 1),         known_by_size("I16", 25, 1, 2),
    known_by_size("I32", 26, 1, 4),        known_by_size("I64", 27, 1, 8),
    known_by_size("F64", 28, 1, 8),        known_by_size("IQ1_M", 29, 256, 56),
    known_by_size("TQ1_0", 34, 256, 54),   known_by_size("TQ2_0", 35, 256, 66),
    known_by_size("NVFP4", 40, 64, 36),    known_by_size("Q1_0", 41, 128, 18),
    known_by_size("Q2_0", 42, 64, 18),
};

std::vector<const Format*>& formats() {
  static std::vector<const Format*> list = [] {
    std::vector<const Format*> known = {&kF32,  &kF16,    &kBF16,   &kQ4_0, &kQ4_1, &kQ5_0,
                                        &kQ5_1, &kQ8_0,   &kQ2_K,   &kQ3_K, &kQ4_K, &kQ5_K,
                                        &kQ6_K, &kIQ4_NL, &kIQ4_XS, &kMXFP4};
    for (const Format& format : kUnsupported) known.push_back(&format);
    std::ranges::sort(known, {}, &Format::ggml_type);
    return known;
  }();
  return list;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

const Format* find_if(auto condition) {
  const auto found = std::ranges::find_if(formats(), condition);
  return found == formats().end() ? nullptr : *found;
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

const Format* find_format(uint32_t ggml_type) {
  if (ggml_type == kNoGgmlType) return nullptr;
  return find_if([=](const Format* format) { return format->ggml_type == ggml_type; });
}

const Format* find_format(std::string_view name) {
  return find_if([=](const Format* format) { return same_name(format->name, name); });
}

const Format& require_format(uint32_t ggml_type, std::string_view what) {
  const Format* format = find_format(ggml_type);
  if (!format) fail("{}: unknown number format (ggml type {})", what, ggml_type);
  if (!format->supported()) {
    fail("{}: number format {} cannot be decoded yet (supported: {})", what, format->name,
         supported_names());
  }
  return *format;
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
