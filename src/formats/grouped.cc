#include "formats/grouped.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/half.h"
#include "formats/bit_fields.h"
#include "formats/float8.h"
#include "formats/grouped_block.h"
#include "formats/grouped_encode.h"

namespace tessera {
namespace {

constexpr int kGroups[] = {256, 128, 64, 32, 16};

// Quantiles of a normal distribution, a float32 each (Dettmers et al. 2023, QLoRA, appendix E).
constexpr std::array<float, 16> kNF4 = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

// bitsandbytes divides these by the largest, in float32 (functional.py: get_4bit_type).
constexpr std::array<float, 16> kFP4 = [] {
  constexpr float kTwelfths[8] = {0.0f, 0.0625f, 8.0f, 12.0f, 4.0f, 6.0f, 2.0f, 3.0f};
  std::array<float, 16> values{};
  for (size_t i = 0; i < 8; ++i) {
    values[i] = kTwelfths[i] / 12.0f;
    values[i + 8] = 0.0f - kTwelfths[i] / 12.0f;  // no negative zero
  }
  return values;
}();

constexpr std::array<float, 16> kE2M1 = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                         -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// Integers have none.
const float* values_of(GroupedCodes codes) {
  switch (codes) {
    case GroupedCodes::kInteger:
      break;
    case GroupedCodes::kNF4:
      return kNF4.data();
    case GroupedCodes::kFP4:
      return kFP4.data();
    case GroupedCodes::kE2M1:
      return kE2M1.data();
    case GroupedCodes::kE4M3:
      return e4m3_values();
    case GroupedCodes::kE5M2:
      return e5m2_values();
  }
  return nullptr;
}

int bits_of(const GroupedKind& kind) {
  switch (kind.codes) {
    case GroupedCodes::kInteger:
      return kind.bits;
    case GroupedCodes::kE4M3:
    case GroupedCodes::kE5M2:
      return 8;
    default:
      return 4;
  }
}

std::string name_of(const GroupedKind& kind) {
  const auto codes = [&]() -> std::string {
    switch (kind.codes) {
      case GroupedCodes::kInteger:
        break;
      case GroupedCodes::kNF4:
        return "NF4";
      case GroupedCodes::kFP4:
        return "FP4";
      case GroupedCodes::kE2M1:
        return "E2M1";
      case GroupedCodes::kE4M3:
        return "E4M3";
      case GroupedCodes::kE5M2:
        return "E5M2";
    }
    return fmt::format("{}INT{}", kind.offset == GroupedOffset::kNone ? "" : "U", kind.bits);
  };
  return fmt::format("{}/{}", codes(), kind.group);
}

void check(const GroupedKind& kind) {
  const bool integers = kind.codes == GroupedCodes::kInteger;
  if (std::ranges::find(kGroups, kind.group) == std::end(kGroups)) {
    fail("groups of {} columns cannot be held: 16, 32, 64, 128 or 256 are expected", kind.group);
  }
  if (integers && (kind.bits < 1 || kind.bits > 8)) {
    fail("codes of {} bits cannot be held: 1 to 8 are expected", kind.bits);
  }
  if (!integers && (kind.offset != GroupedOffset::kNone || kind.zero_point != 0)) {
    fail("only integer codes have zeros or minimums");
  }
  if (kind.scope != ScaleScope::kGroup &&
      (!kind.f32_scales || kind.offset != GroupedOffset::kNone)) {
    fail("scales that a matrix shares are of 32 bits, without zeros or minimums");
  }
  if (kind.zero_point < 0 || kind.zero_point > 255 ||
      (kind.zero_point != 0 && kind.offset != GroupedOffset::kNone)) {
    fail("a zero point of {} cannot be held: 0 to 255 without zeros or minimums is expected",
         kind.zero_point);
  }
}

// A format, and what it points to.
struct Entry {
  explicit Entry(const GroupedKind& of) : kind(of), name(name_of(of)) {
    block.code_bits = bits_of(kind);
    block.zero_point = kind.zero_point;
    block.values = values_of(kind.codes);
    block.group = kind.group;
    block.scaling = kind.f32_scales ? BlockScaling::kF32 : BlockScaling::kF16;
    block.has_min = kind.offset == GroupedOffset::kMin;
    block.has_zero = kind.offset == GroupedOffset::kZero;
    if (kind.scope == ScaleScope::kRow && kind.codes == GroupedCodes::kInteger && kind.bits == 8)
      block.lowest_code = 1;                                        // as many below zero as above
    if (kind.scope == ScaleScope::kMatrix) block.highest_code = 2;  // ternary
    block.split = split_of(kind);
    block.join = join_of(kind);
    format.name = name;
    format.block_elements = static_cast<uint32_t>(kind.group);
    format.block_bytes = static_cast<uint32_t>(kind.block_bytes());
    format.quantized = &block;
    format.encode = encoder_of(kind);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  GroupedKind kind;
  std::string name;
  QuantizedBlock block{};
  Format format{};
};

struct Entries {
  std::mutex mutex;
  std::map<GroupedKind, std::unique_ptr<const Entry>> by_kind;
  std::map<const Format*, const Entry*> by_format;
};

Entries& entries() {
  static Entries all;
  return all;
}

void write_float(bool f32, float value, std::byte* to) {
  if (f32) {
    std::memcpy(to, &value, sizeof(value));
  } else {
    const uint16_t bits = f32_to_f16(value);
    std::memcpy(to, &bits, sizeof(bits));
  }
}

}  // namespace

const Format& grouped_format(const GroupedKind& kind) {
  check(kind);
  Entries& all = entries();
  const std::lock_guard lock(all.mutex);
  std::unique_ptr<const Entry>& entry = all.by_kind[kind];
  if (entry == nullptr) {
    entry = std::make_unique<Entry>(kind);
    all.by_format.emplace(&entry->format, entry.get());
  }
  return entry->format;
}

const GroupedKind* kind_of(const Format& format) {
  Entries& all = entries();
  const std::lock_guard lock(all.mutex);
  const auto found = all.by_format.find(&format);
  return found == all.by_format.end() ? nullptr : &found->second->kind;
}

bool shares_scales(const Format& format) {
  const GroupedKind* kind = kind_of(format);
  return kind != nullptr && kind->scope != ScaleScope::kGroup;
}

int fitting_group(uint64_t columns, uint64_t group) {
  for (const int fitting : kGroups) {
    const auto size = static_cast<uint64_t>(fitting);
    if (columns % size == 0 && group % size == 0) return fitting;
  }
  return 0;
}

void write_grouped_block(const GroupedKind& kind, float scale, float offset,
                         std::span<const uint8_t> codes, std::byte* block) {
  write_float(kind.f32_scales, scale, block);
  block += kind.scale_bytes();
  if (kind.offset == GroupedOffset::kZero) {
    *block = static_cast<std::byte>(static_cast<uint8_t>(offset));
  } else if (kind.offset == GroupedOffset::kMin) {
    write_float(kind.f32_scales, offset, block);
  }
  block += kind.offset_bytes() + kind.note_bytes();
  const auto mask = static_cast<uint8_t>((1 << bits_of(kind)) - 1);
  for (const uint8_t code : codes) *block++ = static_cast<std::byte>(code & mask);
}

}  // namespace tessera
