// The numbers of the GGUF file layout, shared by reader, writer and inspector.
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
//   "GGUF" | u32 version | u64 tensor count | u64 metadata count
//   metadata: string key | u32 type | value          (string: u64 length | bytes)
//   tensors:  string name | u32 dims | u64 dim[dims] | u32 ggml type | u64 offset
//   padding to the alignment; then the tensors' bytes, offsets counted from here
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "files/gguf/metadata.h"

namespace tessera::gguf {

// Fields are read and written by memcpy; a big-endian host would need swaps.
static_assert(std::endian::native == std::endian::little,
              "GGUF input and output assume a little-endian host");

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kNewestVersion = 3;
inline constexpr uint64_t kDefaultAlignment = 32;
// The specification only asks for a multiple of 8; real files use 32, some converters 64 or a page.
inline constexpr uint64_t kMinAlignment = 8, kMaxAlignment = uint64_t{1} << 20;
inline constexpr size_t kMaxKeyBytes = 65535;  // the specification's limit
// The specification says 64, but converters of image models write longer names.
inline constexpr size_t kMaxTensorNameBytes = 256;
inline constexpr uint32_t kMaxAxes = 4;
inline constexpr size_t kMaxSplits = 65535;  // split.count is a u16

inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr std::string_view kSplitNoKey = "split.no";
inline constexpr std::string_view kSplitCountKey = "split.count";
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";

// gguf_metadata_value_type.
enum class Type : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

template <typename T>
consteval Type type_id() {
  if constexpr (std::is_same_v<T, uint8_t>) return Type::kUint8;
  if constexpr (std::is_same_v<T, int8_t>) return Type::kInt8;
  if constexpr (std::is_same_v<T, uint16_t>) return Type::kUint16;
  if constexpr (std::is_same_v<T, int16_t>) return Type::kInt16;
  if constexpr (std::is_same_v<T, uint32_t>) return Type::kUint32;
  if constexpr (std::is_same_v<T, int32_t>) return Type::kInt32;
  if constexpr (std::is_same_v<T, float>) return Type::kFloat32;
  if constexpr (std::is_same_v<T, bool>) return Type::kBool;
  if constexpr (std::is_same_v<T, std::string>) return Type::kString;
  if constexpr (std::is_same_v<T, GgufValue::Array>) return Type::kArray;
  if constexpr (std::is_same_v<T, uint64_t>) return Type::kUint64;
  if constexpr (std::is_same_v<T, int64_t>) return Type::kInt64;
  if constexpr (std::is_same_v<T, double>) return Type::kFloat64;
}

// Calls visit.template operator()<T>() with the C++ type that a file's type id stands for.
// Returns false, without a call, for an id the specification does not know.
template <typename Visitor>
bool visit_type(uint32_t id, Visitor&& visit) {
  switch (static_cast<Type>(id)) {
    case Type::kUint8:
      visit.template operator()<uint8_t>();
      return true;
    case Type::kInt8:
      visit.template operator()<int8_t>();
      return true;
    case Type::kUint16:
      visit.template operator()<uint16_t>();
      return true;
    case Type::kInt16:
      visit.template operator()<int16_t>();
      return true;
    case Type::kUint32:
      visit.template operator()<uint32_t>();
      return true;
    case Type::kInt32:
      visit.template operator()<int32_t>();
      return true;
    case Type::kFloat32:
      visit.template operator()<float>();
      return true;
    case Type::kBool:
      visit.template operator()<bool>();
      return true;
    case Type::kString:
      visit.template operator()<std::string>();
      return true;
    case Type::kArray:
      visit.template operator()<GgufValue::Array>();
      return true;
    case Type::kUint64:
      visit.template operator()<uint64_t>();
      return true;
    case Type::kInt64:
      visit.template operator()<int64_t>();
      return true;
    case Type::kFloat64:
      visit.template operator()<double>();
      return true;
  }
  return false;
}

std::string_view type_name(Type type);
// "uint32", "string", "array of float32".
std::string type_name(const GgufValue& value);

// The smallest multiple of `alignment`, a power of two, that is not below `offset`. Error on
// overflow.
uint64_t align_up(uint64_t offset, uint64_t alignment);

// The alignment that `metadata` asks for, or the default. Error if it is not a sane power of two.
uint64_t alignment_of(const GgufMetadata& metadata);

}  // namespace tessera::gguf
