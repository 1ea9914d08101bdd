#include "files/safetensors/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/safetensors.h"

namespace tessera::safetensors {
namespace {

using test::safetensors_of;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<StoredTensor> parse_text(const std::string& bytes) {
  return parse(std::as_bytes(std::span(bytes)), "x.safetensors");
}

TEST(Safetensors, TensorsAreWhatTheHeaderSays) {
  const std::string bytes =
      safetensors_of({test::float_tensor("a.weight", {2, 3}, {1, 2, 3, 4, 5, 6}),
                      {"b", "BF16", {4}, std::string("\x80\x3f\0\x40\x40\x40\x80\x40", 8)},
                      {"c", "I64", {}, std::string(8, '\1')}});
  const auto tensors = parse_text(bytes);
  ASSERT_EQ(tensors.size(), 3u);
  const StoredTensor &a = tensors[0], &b = tensors[1], &c = tensors[2];
  EXPECT_EQ(a.name, "a.weight");
  EXPECT_THAT(a.shape, ElementsAre(3, 2)) << "the contiguous axis first";
  std::vector<float> row(3);
  a.format->decode(a.bytes.data() + 12, row);
  EXPECT_THAT(row, ElementsAre(4, 5, 6));
  EXPECT_EQ(b.format, &kBF16);
  std::vector<float> values(4);
  b.format->decode(b.bytes.data(), values);
  EXPECT_EQ(values[0], 1);
  EXPECT_THAT(c.shape, ElementsAre(1)) << "a scalar";
  EXPECT_EQ(c.format->name, "I64");
}

TEST(Safetensors, OuterAxesBeyondFourAreCountedTogether) {
  const auto tensors = parse_text(safetensors_of({{"a", "U8", {2, 3, 1, 1, 2}, "abcdefghijkl"}}));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_THAT(tensors[0].shape, ElementsAre(2, 1, 1, 6));
}

TEST(Safetensors, DtypesThatAreOnlyStoredAreKnownByTheirSizes) {
  const auto tensors = parse_text(safetensors_of({{"a", "U8", {3}, "abc"},
                                                  {"b", "BOOL", {1}, "\1"},
                                                  {"c", "F8_E4M3", {2, 2}, "abcd"},
                                                  {"d", "F8_E8M0", {2}, "ab"},
                                                  {"e", "F4", {2, 4}, "abcd"},
                                                  {"f", "F6_E2M3", {4}, "abc"}}));
  ASSERT_EQ(tensors.size(), 6u);
  EXPECT_EQ(tensors[2].format->name, "F8_E4M3");
  EXPECT_FALSE(tensors[2].format->supported());
  EXPECT_EQ(find_format("F8_E4M3"), nullptr) << "nothing that one could ask for";
  EXPECT_THAT(tensors[4].shape, ElementsAre(4, 2));
  EXPECT_THAT(error_of([] {
                parse_text(safetensors_of({{"e", "F4", {4, 1}, "ab"}}));
              }),
              HasSubstr("2 bytes, which are not [4, 1] in F4"));
}

TEST(Safetensors, MetadataAreGivenToWhoAsks) {
  const std::string bytes =
      safetensors_of(R"({"__metadata__": {"format": "pt", "a": "{\"b\": 1}"}})");
  Metadata metadata;
  EXPECT_TRUE(parse(std::as_bytes(std::span(bytes)), "x", &metadata).empty());
  EXPECT_EQ(metadata, (Metadata{{"format", "pt"}, {"a", "{\"b\": 1}"}}));
}

TEST(Safetensors, TheOrderOfTheBytesIsWhatCounts) {
  const auto tensors =
      parse_text(safetensors_of(R"({"later":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},)"
                                R"("first":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}   )",
                                std::string("\0\x3c\0\0\x80\x3f", 6)));
  EXPECT_EQ(tensors[0].name, "first");
  EXPECT_EQ(tensors[1].name, "later");
}

TEST(Safetensors, WhatTheFormatDoesNotAllowIsNamed) {
  const auto one = [](const std::string& fields, size_t bytes = 8) {
    return safetensors_of("{\"x\":{" + fields + "}}", std::string(bytes, '\0'));
  };
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  ASSERT_EQ(parse_text(one(good)).size(), 1u);
  struct Case {
    std::string bytes, says;
  };
  const std::vector<Case> cases = {
      {"", "it ends in its first number"},
      {"1234567", "it ends in its first number"},
      {std::string(8, '\xff'), "its header would be of 18446744073709551615 bytes"},
      {test::bytes_of(std::vector<uint64_t>{9}) + "{}", "its header would be of 9 bytes, it has 2"},
      {safetensors_of("[]"), "does not begin with '{'"},
      {safetensors_of(" {}"), "does not begin with '{'"},
      {safetensors_of("{"), "it is no JSON"},
      {safetensors_of("{} x"), "it is no JSON from byte"},
      {safetensors_of("{\"a\xff\": 1}"), "it is no JSON"},
      {safetensors_of("{\"x\": 1}"), "'x' has a number where none may be"},
      {safetensors_of("{\"x\": null}"), "'x' has null where none may be"},
      {safetensors_of("{\"\": {}}"), "expected UTF-8 of 1 to 256"},
      {safetensors_of("{\"" + std::string(300, 'n') + "\": {}}"), "expected UTF-8 of 1 to 256"},
      {safetensors_of("{\"x\":{" + good + "},\"x\":{" + good + "}}", std::string(8, '\0')),
       "'x' comes twice"},
      {safetensors_of(R"({"__metadata__": {"a": 1}})"), "has a number where none may be"},
      {safetensors_of(R"({"__metadata__": {"a": {"b": "1"}}})"), "an object where none may be"},
      {one(R"("dtype":"F32","shape":[2])"), "lacks one of dtype, shape, data_offsets"},
      {one(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"),
       "'dtype' comes twice"},
      {one(good + R"(,"strides":[1])"), "has 'strides'"},
      {one(R"("dtype":["F32"],"shape":[2],"data_offsets":[0,8])"), "an array where none may be"},
      {one(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), "an array where none may be"},
      {one(R"("dtype":"F32","shape":"2","data_offsets":[0,8])"), "a text where none may be"},
      {one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "a negative number"},
      {one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "a fraction"},
      {one(R"("dtype":"F32","shape":[true],"data_offsets":[0,8])"), "true or false"},
      {one(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8])"),
       "more than 8 numbers"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), "more than 2 numbers"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0])"),
       "lies at [0], expected [begin, end]"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "lies at [8, 0]"},
      {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9])"), "within the 8 bytes of data"},
      {one(R"("dtype":"X5","shape":[2],"data_offsets":[0,8])"), "the dtype 'X5', which is not"},
      {one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       "8 bytes, which are not [3] in F32"},
      {one(R"("dtype":"F32","shape":[0],"data_offsets":[0,0])", 0), "0 bytes, which are not [0]"},
      {one(R"("dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8])"),
       "which are not [4294967296, 4294967296, 2]"},
      {one(good, 12), "has 12 bytes of data, its tensors take 8"},
      {one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "there is a hole"},
      {safetensors_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                      std::string(8, '\0')),
       "two overlap"},
  };
  for (const Case& bad : cases) {
    const std::string error = error_of([&] { parse_text(bad.bytes); });
    EXPECT_THAT(error, HasSubstr(bad.says));
    EXPECT_THAT(error, HasSubstr("x.safetensors"));
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

// Deep nesting and many names end as soon as they are seen.
TEST(Safetensors, AHostileHeaderCostsNoMoreThanItsBytes) {
  EXPECT_THAT(
      error_of([] { parse_text(safetensors_of(R"({"x":)" + std::string(1'000'000, '['))); }),
      HasSubstr("where none may be"));
  EXPECT_THAT(error_of([] { parse_text(safetensors_of(std::string(1'000'000, '{'))); }),
              HasSubstr("it is no JSON"));
  std::string names = "{";
  for (size_t i = 0; i <= kMaxTensors; ++i)
    names += (i > 0 ? ",\"" : "\"") + std::to_string(i) +
             R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_THAT(error_of([&] { parse_text(safetensors_of(names + "}")); }),
              HasSubstr("more than 100000 tensors"));
  std::string words = R"({"__metadata__":{)";
  for (size_t i = 0; i <= kMaxTensors; ++i)
    words += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":"")";
  EXPECT_THAT(error_of([&] { parse_text(safetensors_of(words + "}}")); }),
              HasSubstr("more than 100000 entries"));
}

TEST(Safetensors, AnyFlippedBitGivesAValidFileOrAnError) {
  const std::string good = safetensors_of(
      {test::float_tensor("a", {2, 3}, {1, 2, 3, 4, 5, 6}), {"b", "I8", {3}, "abc"}});
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    try {
      for (const StoredTensor& tensor : parse_text(bytes))
        EXPECT_EQ(tensor.bytes.size(), tensor.format->row_bytes(tensor.columns()) * tensor.rows());
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace tessera::safetensors
