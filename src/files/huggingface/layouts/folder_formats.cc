#include "files/huggingface/layouts/folder_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/error.h"

namespace tessera::huggingface {
namespace {

GroupedKind kind_of_scheme(const GroupScheme& scheme) {
  GroupedKind kind = {.bits = scheme.bits, .group = static_cast<int>(scheme.group)};
  if (scheme.symmetric) {
    kind.zero_point = 1 << (scheme.bits - 1);
  } else {
    kind.offset = GroupedOffset::kZero;
  }
  return kind;
}

// Of scales that are shared.
GroupedKind shared_kind(GroupedCodes codes, ScaleScope scope, int group = 0) {
  return {.codes = codes, .f32_scales = true, .group = group, .scope = scope};
}

GroupedKind shared_integers(int bits, int zero_point, ScaleScope scope) {
  GroupedKind kind = shared_kind(GroupedCodes::kInteger, scope);
  kind.bits = bits;
  kind.zero_point = zero_point;
  return kind;
}

std::vector<FolderFormat> make_all() {
  std::vector<FolderFormat> all;
  const auto add_integers = [&](std::string name, const GroupScheme& scheme,
                                LayoutWriterPtr writer) {
    all.push_back({.name = std::move(name),
                   .writer = std::move(writer),
                   .kind = kind_of_scheme(scheme),
                   .f16_scales = true});
  };
  for (const uint64_t group : {32u, 64u, 128u}) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const bool symmetric : {true, false}) {
        const GroupScheme scheme = {bits, group, symmetric};
        add_integers(fmt::format("gptq-{}bit-{}g{}", bits, group, symmetric ? "" : "-asym"), scheme,
                     gptq_writer(scheme));
      }
    }
    for (const int bits : {2, 3, 4, 8}) {
      all.push_back({.name = fmt::format("hqq-{}bit-{}g", bits, group),
                     .writer = hqq_writer(bits, group),
                     .kind = {.bits = bits,
                              .f32_scales = true,
                              .offset = GroupedOffset::kMin,
                              .group = static_cast<int>(group)},
                     .f16_scales = true});
    }
    add_integers(fmt::format("awq-4bit-{}g", group), {4, group, false}, awq_writer(group));
  }
  for (const bool symmetric : {true, false}) {
    const GroupScheme scheme = {4, 128, symmetric};
    add_integers(symmetric ? "W4A16" : "W4A16_ASYM", scheme, packed_writer(scheme));
  }
  for (const int bits : {2, 3, 4}) {  // 8: W8A16
    all.push_back({.name = fmt::format("gptq-{}bit-row", bits),
                   .writer = gptq_writer({bits, 0, true}),
                   .kind = shared_integers(bits, 1 << (bits - 1), ScaleScope::kRow),
                   .f16_scales = true});
  }
  const auto add = [&](std::string name, LayoutWriterPtr writer, const GroupedKind& kind) {
    all.push_back({.name = std::move(name), .writer = std::move(writer), .kind = kind});
  };
  using enum GroupedCodes;
  const GroupedKind int8_rows = shared_integers(8, 128, ScaleScope::kRow);
  add("W8A16", packed_writer({8, 0, true}), int8_rows);
  add("W8A8", w8a8_writer(), int8_rows);
  add("FP8_DYNAMIC", fp8_dynamic_writer(), shared_kind(kE4M3, ScaleScope::kRow));
  add("NVFP4A16", nvfp4_writer(), shared_kind(kE2M1, ScaleScope::kE4M3, 16));
  all.push_back({.name = "MXFP4A16", .writer = mxfp4_writer(), .kind = {}, .is_mxfp4 = true});
  for (const auto& [codes, name] : {std::pair(kNF4, "nf4"), std::pair(kFP4, "fp4")}) {
    add(fmt::format("bnb-{}", name), bitsandbytes_writer(name, false),
        {.codes = codes, .f32_scales = true, .group = 64});
    add(fmt::format("bnb-{}-double", name), bitsandbytes_writer(name, true),
        shared_kind(codes, ScaleScope::kNested, 64));
  }
  add("bitnet", bitnet_writer(), shared_integers(2, 1, ScaleScope::kMatrix));
  return all;
}

bool is_folder_format(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

const Format& FolderFormat::format_of(uint64_t columns) const {
  if (is_mxfp4) {
    if (columns % kMXFP4.block_elements != 0)
      fail("{} columns, which groups of 32 do not divide ({})", columns, name);
    return kMXFP4;
  }
  GroupedKind fitting = kind;
  if (kind.group == 0) {  // blocks of any size: their scale is that of the row or the matrix
    fitting.group = fitting_group(columns, 0);
    if (fitting.group < 32) fail("{} columns, expected a multiple of 32 ({})", columns, name);
  } else if (columns % static_cast<uint64_t>(kind.group) != 0) {
    fail("{} columns, which groups of {} do not divide ({})", columns, kind.group, name);
  }
  return grouped_format(fitting);
}

const Format& FolderFormat::plain_format(const Checkpoint& model) const {
  const bool is_bf16 = model.require({TensorRole::kTokenEmbedding}).format == &kBF16;
  return is_bf16 && !f16_scales ? kBF16 : kF16;
}

std::span<const FolderFormat> all_folder_formats() {
  static const std::vector<FolderFormat> all = make_all();
  return all;
}

const FolderFormat* find_folder_format(std::string_view name) {
  const auto all = all_folder_formats();
  const auto found = std::ranges::find_if(
      all, [=](const FolderFormat& format) { return is_folder_format(format.name, name); });
  return found == all.end() ? nullptr : &*found;
}

std::string_view folder_format_names() {
  return "gptq-{2,3,4,8}bit-{32,64,128}g[-asym], gptq-{2,3,4}bit-row, awq-4bit-{32,64,128}g, "
         "hqq-{2,3,4,8}bit-{32,64,128}g, W4A16, W4A16_ASYM, W8A16, "
         "W8A8, FP8_DYNAMIC, NVFP4A16, MXFP4A16, bnb-nf4, bnb-fp4, bnb-nf4-double, bnb-fp4-double, "
         "bitnet";
}

}  // namespace tessera::huggingface
