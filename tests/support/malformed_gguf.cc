#include "malformed_gguf.h"

#include <cstdint>
#include <limits>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tessera::test {
namespace {

// Deliberately not the project's writer: that one refuses to write what is tested here.
enum : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};
constexpr uint32_t kTypeF32 = 0, kTypeF16 = 1, kTypeQ8_0 = 8, kTypeQ4_K = 12;
constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();

template <typename T>
std::string raw(std::type_identity_t<T> value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::string text(std::string_view value) {
  return raw<uint64_t>(value.size()) + std::string(value);
}

std::string entry(std::string_view key, uint32_t type, const std::string& payload) {
  return text(key) + raw<uint32_t>(type) + payload;
}

std::string array(uint32_t element_type, uint64_t count, const std::string& payload) {
  return raw<uint32_t>(element_type) + raw<uint64_t>(count) + payload;
}

std::string tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type,
                   uint64_t offset) {
  std::string out = text(name) + raw<uint32_t>(static_cast<uint32_t>(shape.size()));
  for (const uint64_t axis : shape) out += raw<uint64_t>(axis);
  return out + raw<uint32_t>(type) + raw<uint64_t>(offset);
}

// A file in parts, each of which a case may replace.
struct Parts {
  std::string magic = "GGUF";
  std::string version = raw<uint32_t>(3);
  std::vector<std::string> entries = {
      entry("general.architecture", kString, text("llama")),
      entry("t.u8", kU8, raw<uint8_t>(8)),
      entry("t.i8", kI8, raw<int8_t>(-8)),
      entry("t.u16", kU16, raw<uint16_t>(16)),
      entry("t.i16", kI16, raw<int16_t>(-16)),
      entry("t.u32", kU32, raw<uint32_t>(32)),
      entry("t.i32", kI32, raw<int32_t>(-32)),
      entry("t.f32", kF32, raw<float>(0.5F)),
      entry("t.bool", kBool, raw<uint8_t>(1)),
      entry("t.u64", kU64, raw<uint64_t>(64)),
      entry("t.i64", kI64, raw<int64_t>(-64)),
      entry("t.f64", kF64, raw<double>(0.25)),
      entry("t.strings", kArray, array(kString, 3, text("one") + text("") + text("three"))),
      entry("t.ints", kArray, array(kI32, 2, raw<int32_t>(1) + raw<int32_t>(-1))),
      entry("t.bools", kArray, array(kBool, 2, std::string("\1\0", 2))),
  };
  std::vector<std::string> tensors = {
      tensor("a", {4, 2}, kTypeF32, 0),
      tensor("b", {8}, kTypeF16, 32),
      tensor("c", {32, 2}, kTypeQ8_0, 64),
  };
  size_t alignment = 32;
  size_t data_bytes = 64 + 68;
  uint64_t tensor_count = kFromList, entry_count = kFromList;

  static constexpr uint64_t kFromList = kMax64 - 12345;  // count what is in the lists
};

// Also notes, in `boundaries`, every offset at which a field begins or ends.
std::string build(const Parts& parts, std::set<size_t>* boundaries = nullptr) {
  std::string out;
  const auto add = [&](const std::string& part) {
    if (boundaries != nullptr) boundaries->insert(out.size());
    out += part;
  };
  add(parts.magic);
  add(parts.version);
  add(raw<uint64_t>(parts.tensor_count == Parts::kFromList ? parts.tensors.size()
                                                           : parts.tensor_count));
  add(raw<uint64_t>(parts.entry_count == Parts::kFromList ? parts.entries.size()
                                                          : parts.entry_count));
  for (const auto& each : parts.entries) add(each);
  for (const auto& each : parts.tensors) add(each);
  if (boundaries != nullptr) boundaries->insert(out.size());
  out.resize((out.size() + parts.alignment - 1) / parts.alignment * parts.alignment, '\0');
  for (size_t i = 0; i < parts.data_bytes; ++i) out += static_cast<char>(i % 50);
  return out;
}

class Corpus {
 public:
  void add(std::string name, std::string bytes) {
    cases_.push_back({std::move(name), std::move(bytes)});
  }
  void add(std::string name, const Parts& changed) { add(std::move(name), build(changed)); }

  // The valid file's metadata is followed by these entries.
  template <typename... Entries>
  void add_entry(std::string name, Entries... raw_entries) {
    Parts changed;
    (changed.entries.push_back(std::move(raw_entries)), ...);
    add(std::move(name), changed);
  }
  // The file gets this one tensor only.
  void add_tensor(std::string name, std::string raw_tensor, size_t data_bytes = 4096) {
    Parts changed;
    changed.tensors = {std::move(raw_tensor)};
    changed.data_bytes = data_bytes;
    add(std::move(name), changed);
  }

  std::vector<NamedBytes> take() { return std::move(cases_); }

 private:
  std::vector<NamedBytes> cases_;
};

void add_truncations(Corpus& corpus) {
  std::set<size_t> boundaries;
  const std::string whole = build(Parts{}, &boundaries);
  std::set<size_t> cuts;
  for (const size_t at : boundaries) {
    for (const size_t cut :
         {at, at + 1, at + 9}) {  // at a field, inside it, inside its first string
      if (cut < whole.size()) cuts.insert(cut);
    }
  }
  cuts.insert({whole.size() - 1, whole.size() - 68, whole.size() - 69, whole.size() - 100});
  for (const size_t cut : cuts)
    corpus.add("truncated_at_" + std::to_string(cut), whole.substr(0, cut));
}

void add_headers(Corpus& corpus) {
  const auto with = [&](const char* name, auto change) {
    Parts changed;
    change(changed);
    corpus.add(name, changed);
  };
  with("magic_lowercase", [](Parts& p) { p.magic = "gguf"; });
  with("magic_old_ggml", [](Parts& p) { p.magic = "lmgg"; });
  with("magic_big_endian", [](Parts& p) { p.magic = "FUGG"; });
  with("magic_with_escape_sequence", [](Parts& p) { p.magic = "\x1b[2J"; });
  with("version_0", [](Parts& p) { p.version = raw<uint32_t>(0); });
  with("version_1", [](Parts& p) { p.version = raw<uint32_t>(1); });
  with("version_4", [](Parts& p) { p.version = raw<uint32_t>(4); });
  with("version_big_endian_3", [](Parts& p) { p.version = raw<uint32_t>(0x03000000); });
  with("version_max", [](Parts& p) { p.version = raw<uint32_t>(0xffffffff); });
  with("tensor_count_max", [](Parts& p) { p.tensor_count = kMax64; });
  with("tensor_count_2_63", [](Parts& p) { p.tensor_count = uint64_t{1} << 63; });
  with("tensor_count_one_more", [](Parts& p) { p.tensor_count = p.tensors.size() + 1; });
  with("tensor_count_a_million", [](Parts& p) { p.tensor_count = 1'000'000; });
  with("metadata_count_max", [](Parts& p) { p.entry_count = kMax64; });
  with("metadata_count_2_60", [](Parts& p) { p.entry_count = uint64_t{1} << 60; });
  with("metadata_count_one_more", [](Parts& p) { p.entry_count = p.entries.size() + 1; });
  with("metadata_count_one_less", [](Parts& p) { p.entry_count = p.entries.size() - 1; });
  with("metadata_count_zero", [](Parts& p) { p.entry_count = 0; });
  corpus.add("empty_file", std::string());
  corpus.add("one_byte", "G");
  corpus.add("zip_file",
             "PK\x03\x04 this is a zip file, not a model, and long enough to hold a header");
  corpus.add("all_zero_bytes", std::string(4096, '\0'));
  corpus.add("all_ones_bytes", std::string(4096, '\xff'));
}

void add_keys_and_values(Corpus& corpus) {
  corpus.add_entry("key_empty", entry("", kU8, raw<uint8_t>(1)));
  corpus.add_entry("key_not_utf8", entry("bad\xff\xfe", kU8, raw<uint8_t>(1)));
  corpus.add_entry("key_surrogate", entry("bad\xed\xa0\x80", kU8, raw<uint8_t>(1)));
  corpus.add_entry("key_overlong_utf8", entry("bad\xc0\xaf", kU8, raw<uint8_t>(1)));
  corpus.add_entry("key_longer_than_64k", entry(std::string(65536, 'k'), kU8, raw<uint8_t>(1)));
  corpus.add_entry("key_length_max", raw<uint64_t>(kMax64) + "key");
  corpus.add_entry("key_length_2_32", raw<uint64_t>(uint64_t{1} << 32) + "key");
  corpus.add_entry("key_duplicate", entry("t.u32", kU32, raw<uint32_t>(1)));
  corpus.add_entry("key_duplicate_with_newline_and_escape",
                   entry("x\n\x1b[31m", kU8, raw<uint8_t>(1)),
                   entry("x\n\x1b[31m", kU8, raw<uint8_t>(1)));
  corpus.add_entry("value_type_13", entry("x", 13, raw<uint64_t>(0)));
  corpus.add_entry("value_type_max", entry("x", 0xffffffff, raw<uint64_t>(0)));
  corpus.add_entry("bool_2", entry("x", kBool, raw<uint8_t>(2)));
  corpus.add_entry("bool_255", entry("x", kBool, raw<uint8_t>(255)));
  corpus.add_entry("string_length_max", entry("x", kString, raw<uint64_t>(kMax64)));
  corpus.add_entry("string_length_wraps", entry("x", kString, raw<uint64_t>(kMax64 - 7)));
  corpus.add_entry("string_length_1_tb", entry("x", kString, raw<uint64_t>(uint64_t{1} << 40)));
  corpus.add_entry("string_length_2_63", entry("x", kString, raw<uint64_t>(uint64_t{1} << 63)));
}

void add_arrays(Corpus& corpus) {
  const auto add = [&](const char* name, uint32_t type, uint64_t count,
                       const std::string& payload) {
    corpus.add_entry(name, entry("x", kArray, array(type, count, payload)));
  };
  add("array_u8_count_max", kU8, kMax64, "");
  add("array_u64_count_max", kU64, kMax64, "");
  add("array_u64_bytes_wrap_to_0", kU64, uint64_t{1} << 61, "");
  add("array_u64_bytes_wrap_to_8", kU64, (uint64_t{1} << 61) + 1, "");
  add("array_u32_bytes_wrap_to_4", kU32, (uint64_t{1} << 62) + 1, raw<uint32_t>(7));
  add("array_strings_count_max", kString, kMax64, "");
  add("array_strings_4_billion", kString, uint64_t{1} << 32, "");
  add("array_strings_more_than_the_file", kString, 100'000, text("a"));
  add("array_bools_count_max", kBool, kMax64, "");
  add("array_bool_2", kBool, 2, std::string("\1\2"));
  add("array_f64_a_billion", kF64, 1'000'000'000, "");
  add("array_element_type_13", 13, 1, raw<uint64_t>(0));
  add("array_element_type_max", 0xffffffff, 1, raw<uint64_t>(0));
  add("array_of_arrays", kArray, 1, array(kU8, 1, raw<uint8_t>(1)));
  add("array_of_arrays_empty", kArray, 0, "");
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += raw<uint32_t>(kArray) + raw<uint64_t>(1);
  corpus.add_entry("array_nested_10000_deep", entry("x", kArray, deep));
  add("array_string_inside_length_max", kString, 2, text("ok") + raw<uint64_t>(kMax64));
}

void add_tensor_descriptions(Corpus& corpus) {
  constexpr uint64_t kHalf = uint64_t{1} << 32;
  corpus.add_tensor("tensor_name_empty", tensor("", {4}, kTypeF32, 0));
  corpus.add_tensor("tensor_name_not_utf8", tensor("w\x80", {4}, kTypeF32, 0));
  corpus.add_tensor("tensor_name_100k", tensor(std::string(100'000, 'w'), {4}, kTypeF32, 0));
  corpus.add_tensor("tensor_name_length_max", raw<uint64_t>(kMax64) + std::string(64, 'w'));
  corpus.add_tensor("tensor_0_dimensions", tensor("w", {}, kTypeF32, 0));
  corpus.add_tensor("tensor_5_dimensions", tensor("w", {1, 1, 1, 1, 1}, kTypeF32, 0));
  corpus.add_tensor("tensor_dimensions_max",
                    text("w") + raw<uint32_t>(0xffffffff) + std::string(64, '\1'));
  corpus.add_tensor("tensor_dimension_is_0", tensor("w", {4, 0}, kTypeF32, 0));
  corpus.add_tensor("tensor_columns_are_0", tensor("w", {0, 4}, kTypeF32, 0));
  corpus.add_tensor("tensor_columns_max", tensor("w", {kMax64}, kTypeF32, 0));
  corpus.add_tensor("tensor_columns_negative", tensor("w", {uint64_t{1} << 63}, kTypeF32, 0));
  corpus.add_tensor("tensor_elements_wrap_to_0", tensor("w", {kHalf, kHalf}, kTypeF32, 0));
  corpus.add_tensor("tensor_elements_wrap_to_4", tensor("w", {kHalf + 2, kHalf + 2}, kTypeF32, 0));
  corpus.add_tensor("tensor_bytes_wrap_to_0", tensor("w", {uint64_t{1} << 62}, kTypeF32, 0));
  corpus.add_tensor("tensor_bytes_wrap_to_16", tensor("w", {(uint64_t{1} << 62) + 4}, kTypeF32, 0));
  corpus.add_tensor("tensor_4_axes_wrap", tensor("w", {65536, 65536, 65536, 65536}, kTypeF16, 0));
  corpus.add_tensor("tensor_q8_rows_wrap", tensor("w", {32, uint64_t{1} << 60}, kTypeQ8_0, 0));
  corpus.add_tensor("tensor_type_unknown_9999", tensor("w", {32}, 9999, 0));
  corpus.add_tensor("tensor_type_max", tensor("w", {32}, 0xffffffff, 0));
  corpus.add_tensor("tensor_row_not_whole_q8_0_blocks", tensor("w", {33}, kTypeQ8_0, 0));
  corpus.add_tensor("tensor_row_not_whole_q4_k_blocks", tensor("w", {128, 2}, kTypeQ4_K, 0));
  corpus.add_tensor("tensor_offset_misaligned_by_1", tensor("w", {4}, kTypeF32, 1));
  corpus.add_tensor("tensor_offset_misaligned_by_16", tensor("w", {4}, kTypeF32, 16));
  corpus.add_tensor("tensor_offset_past_the_end", tensor("w", {4}, kTypeF32, 1 << 20));
  corpus.add_tensor("tensor_offset_wraps", tensor("w", {64}, kTypeF32, kMax64 - 31));
  corpus.add_tensor("tensor_offset_2_63", tensor("w", {4}, kTypeF32, uint64_t{1} << 63));
  corpus.add_tensor("tensor_ends_past_the_file", tensor("w", {1024}, kTypeF32, 32));
  corpus.add_tensor("tensor_1_byte_short", tensor("w", {1024}, kTypeF32, 0), 4095);
  corpus.add_tensor("tensor_no_data_at_all", tensor("w", {4}, kTypeF32, 0), 0);
  corpus.add_tensor("tensor_larger_than_memory", tensor("w", {1 << 20, 1 << 20}, kTypeF32, 0));
}

void add_tensor_pairs(Corpus& corpus) {
  const auto add = [&](const char* name, const std::string& first, const std::string& second) {
    Parts changed;
    changed.tensors = {first, second};
    changed.data_bytes = 4096;
    corpus.add(name, changed);
  };
  add("tensor_name_duplicate", tensor("w", {4}, kTypeF32, 0), tensor("w", {4}, kTypeF32, 32));
  add("tensors_overlap_partly", tensor("v", {16}, kTypeF32, 0), tensor("w", {16}, kTypeF32, 32));
  add("tensors_overlap_wholly", tensor("v", {16}, kTypeF32, 64), tensor("w", {16}, kTypeF32, 64));
  add("tensors_overlap_out_of_order", tensor("v", {8}, kTypeF32, 32),
      tensor("w", {64}, kTypeF32, 0));
}

void add_alignments(Corpus& corpus) {
  for (const uint32_t alignment : {0U, 1U, 3U, 4U, 24U, 33U, 1U << 31, 0xffffffffU}) {
    corpus.add_entry("alignment_" + std::to_string(alignment),
                     entry("general.alignment", kU32, raw<uint32_t>(alignment)));
  }
  corpus.add_entry("alignment_is_a_string", entry("general.alignment", kString, text("32")));
  corpus.add_entry("alignment_negative", entry("general.alignment", kI32, raw<int32_t>(-32)));
  corpus.add_entry("alignment_64_but_offsets_of_32",
                   entry("general.alignment", kU32, raw<uint32_t>(64)));
}

void add_splits(Corpus& corpus) {
  corpus.add_entry("split_member_with_a_plain_name", entry("split.no", kU16, raw<uint16_t>(0)),
                   entry("split.count", kU16, raw<uint16_t>(2)));
  corpus.add_entry("split_count_65535", entry("split.count", kU16, raw<uint16_t>(65535)));
  corpus.add_entry("split_count_negative", entry("split.count", kI32, raw<int32_t>(-1)));
  corpus.add_entry("split_count_is_a_string", entry("split.count", kString, text("2")));
  corpus.add_entry("split_no_out_of_range", entry("split.no", kU16, raw<uint16_t>(7)));
  corpus.add_entry("split_count_over_int64", entry("split.count", kU64, raw<uint64_t>(kMax64)));
}

}  // namespace

std::string valid_gguf() {
  return build(Parts{});
}

std::vector<NamedBytes> malformed_gguf_corpus() {
  Corpus corpus;
  add_truncations(corpus);
  add_headers(corpus);
  add_keys_and_values(corpus);
  add_arrays(corpus);
  add_tensor_descriptions(corpus);
  add_tensor_pairs(corpus);
  add_alignments(corpus);
  add_splits(corpus);
  return corpus.take();
}

}  // namespace tessera::test
