// The table of all formats. Sizes and type ids: ggml's type list (ggml.h, ggml-common.h), which is
// what GGUF files refer to.
#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>

#include "base/checked.h"
#include "base/error.h"
#include "formats/codecs.h"
#include "formats/format.h"

namespace tessera {
namespace {

// The ids that are missing (4, 5, 31-33, 36-38) belonged to formats that left the specification.
constexpr Format kFormats[] = {
    // name, id, elements, bytes
    {"F32", 0, 1, 4, decode_f32, encode_f32},
    {"F16", 1, 1, 2, decode_f16, encode_f16},
    {"Q4_0", 2, 32, 18, decode_q4_0, encode_q4_0},
    {"Q4_1", 3, 32, 20, decode_q4_1, encode_q4_1},
    {"Q5_0", 6, 32, 22, decode_q5_0, encode_q5_0},
    {"Q5_1", 7, 32, 24, decode_q5_1, encode_q5_1},
    {"Q8_0", 8, 32, 34, decode_q8_0, encode_q8_0},
    {"Q8_1", 9, 32, 36, nullptr, nullptr},
    {"Q2_K", 10, 256, 84, decode_q2_k, encode_q2_k},
    {"Q3_K", 11, 256, 110, decode_q3_k, encode_q3_k},
    {"Q4_K", 12, 256, 144, decode_q4_k, encode_q4_k},
    {"Q5_K", 13, 256, 176, decode_q5_k, encode_q5_k},
    {"Q6_K", 14, 256, 210, decode_q6_k, encode_q6_k},
    {"Q8_K", 15, 256, 292, nullptr, nullptr},
    {"IQ2_XXS", 16, 256, 66, nullptr, nullptr},
    {"IQ2_XS", 17, 256, 74, nullptr, nullptr},
    {"IQ3_XXS", 18, 256, 98, nullptr, nullptr},
    {"IQ1_S", 19, 256, 50, nullptr, nullptr},
    {"IQ4_NL", 20, 32, 18, decode_iq4_nl, encode_iq4_nl},
    {"IQ3_S", 21, 256, 110, nullptr, nullptr},
    {"IQ2_S", 22, 256, 82, nullptr, nullptr},
    {"IQ4_XS", 23, 256, 136, decode_iq4_xs, encode_iq4_xs},
    {"I8", 24, 1, 1, nullptr, nullptr},
    {"I16", 25, 1, 2, nullptr, nullptr},
    {"I32", 26, 1, 4, nullptr, nullptr},
    {"I64", 27, 1, 8, nullptr, nullptr},
    {"F64", 28, 1, 8, nullptr, nullptr},
    {"IQ1_M", 29, 256, 56, nullptr, nullptr},
    {"BF16", 30, 1, 2, decode_bf16, encode_bf16},
    {"TQ1_0", 34, 256, 54, nullptr, nullptr},
    {"TQ2_0", 35, 256, 66, nullptr, nullptr},
    {"MXFP4", 39, 32, 17, decode_mxfp4, encode_mxfp4},
    {"NVFP4", 40, 64, 36, nullptr, nullptr},
    {"Q1_0", 41, 128, 18, nullptr, nullptr},
    {"Q2_0", 42, 64, 18, nullptr, nullptr},
};

constexpr const Format& row(std::string_view name) {
  size_t i = 0;
  while (kFormats[i].name != name) ++i;  // a wrong name does not compile: it runs off the table
  return kFormats[i];
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string supported_names() {
  std::string names;
  for (const Format& format : kFormats) {
    if (!format.supported()) continue;
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names;
}

}  // namespace

constinit const Format& kF32 = row("F32");
constinit const Format& kF16 = row("F16");
constinit const Format& kBF16 = row("BF16");
constinit const Format& kQ4_0 = row("Q4_0");
constinit const Format& kQ4_1 = row("Q4_1");
constinit const Format& kQ5_0 = row("Q5_0");
constinit const Format& kQ5_1 = row("Q5_1");
constinit const Format& kQ8_0 = row("Q8_0");
constinit const Format& kQ2_K = row("Q2_K");
constinit const Format& kQ3_K = row("Q3_K");
constinit const Format& kQ4_K = row("Q4_K");
constinit const Format& kQ5_K = row("Q5_K");
constinit const Format& kQ6_K = row("Q6_K");
constinit const Format& kIQ4_NL = row("IQ4_NL");
constinit const Format& kIQ4_XS = row("IQ4_XS");
constinit const Format& kMXFP4 = row("MXFP4");

uint64_t Format::row_bytes(uint64_t elements) const {
  if (elements % block_elements != 0) {
    fail("a row of {} elements is not a whole number of {} blocks of {} elements", elements, name,
         block_elements);
  }
  return checked_mul(elements / block_elements, block_bytes, "bytes of a row");
}

std::span<const Format> all_formats() {
  return kFormats;
}

const Format* find_format(uint32_t ggml_type) {
  const auto* found = std::ranges::find(kFormats, ggml_type, &Format::ggml_type);
  return found == std::end(kFormats) ? nullptr : found;
}

const Format* find_format(std::string_view name) {
  const auto* found = std::ranges::find_if(
      kFormats, [name](const Format& format) { return same_name(format.name, name); });
  return found == std::end(kFormats) ? nullptr : found;
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
