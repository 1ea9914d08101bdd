#include "files/gguf/reader.h"
#include "files/gguf/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "files/save.h"
#include "support/error_of.h"
#include "support/malformed_gguf.h"
#include "support/split_gguf.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> numbered_bytes(size_t count, int seed) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>((i * 7 + static_cast<size_t>(seed)) & 0xff);
  return bytes;
}

// Ten tensors of different formats and shapes.
struct Sample {
  GgufMetadata metadata;
  std::vector<test::DeclaredTensor> tensors;
  std::vector<std::vector<std::byte>> bytes;

  Sample() {
    metadata.set("general.architecture", {std::string("llama")});
    metadata.set("x.bytes", {GgufValue::Array(std::vector<uint8_t>{1, 2, 255})});
    metadata.set("x.empty", {GgufValue::Array(std::vector<std::string>{})});
    metadata.set("x.flags", {GgufValue::Array(std::vector<bool>{true, false, true})});
    metadata.set("x.words",
                 {GgufValue::Array(std::vector<std::string>{"", "b", std::string("\0\xff", 2)})});
    metadata.set("x.big", {uint64_t{1} << 63});
    metadata.set("x.small", {int8_t{-5}});
    metadata.set("x.half", {0.5F});
    metadata.set("x.pi", {3.25});
    metadata.set("x.yes", {true});
    const Format* formats[] = {&kF32, &kF16, &kQ8_0, &kQ4_0, &kQ4_K};
    for (size_t i = 0; i < 10; ++i) {
      const Format* format = formats[i % 5];
      const uint64_t columns = uint64_t{format->block_elements} * (1 + i % 3);
      const uint64_t rows = 1 + i;
      tensors.push_back({"blk." + std::to_string(i) + ".weight", format, {columns, rows}});
      bytes.push_back(numbered_bytes(format->row_bytes(columns) * rows, static_cast<int>(i)));
    }
  }

  GgufWriter writer() const {
    GgufWriter out(metadata);
    for (const auto& tensor : tensors) out.declare(tensor.name, *tensor.format, tensor.shape);
    return out;
  }
  auto fill() const {
    return [this](size_t i) { return bytes[i]; };
  }
  void write_split(const std::filesystem::path& prefix) const {
    test::write_split_gguf(metadata, tensors, prefix, 4, fill());
  }
  void expect_tensors_of(const GgufFile& file) const {
    ASSERT_EQ(file.tensors().size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const StoredTensor& read = file.tensors()[i];
      EXPECT_EQ(read.name, tensors[i].name);
      EXPECT_EQ(read.format, tensors[i].format);
      EXPECT_EQ(read.shape, tensors[i].shape);
      EXPECT_EQ(std::vector<std::byte>(read.bytes.begin(), read.bytes.end()), bytes[i]);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(read.bytes.data()) % file.alignment(), 0U);
    }
  }
};

TEST(Gguf, WrittenFileReadsBackTheSame) {
  const test::TempFolder folder;
  const Sample sample;
  sample.writer().write(folder / "m.gguf", sample.fill());
  const GgufFile file = GgufFile::open(folder / "m.gguf");

  EXPECT_EQ(file.version(), 3U);
  const auto &written = sample.metadata.entries(), &read = file.metadata().entries();
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].first, written[i].first);
    EXPECT_TRUE(read[i].second.value == written[i].second.value) << read[i].first;
  }
  sample.expect_tensors_of(file);
}

TEST(Gguf, WritingWhatWasReadGivesTheSameBytes) {
  const test::TempFolder folder;
  const Sample sample;
  sample.writer().write(folder / "m.gguf", sample.fill());
  const GgufFile file = GgufFile::open(folder / "m.gguf");
  GgufWriter copy(file.metadata());
  for (const auto& tensor : file.tensors()) copy.declare(tensor.name, *tensor.format, tensor.shape);
  copy.write(folder / "copy.gguf", [&](size_t i) {
    const auto bytes = file.tensors()[i].bytes;
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
  EXPECT_EQ(test::read_bytes(folder / "copy.gguf"), test::read_bytes(folder / "m.gguf"));
}

TEST(Gguf, AlignmentFromTheMetadataIsKept) {
  const test::TempFolder folder;
  Sample sample;
  sample.metadata.set("general.alignment", {uint32_t{4096}});
  sample.writer().write(folder / "m.gguf", sample.fill());
  const GgufFile file = GgufFile::open(folder / "m.gguf");
  EXPECT_EQ(file.alignment(), 4096U);
  sample.expect_tensors_of(file);
}

TEST(Gguf, Version2ReadsAsVersion3Does) {
  const test::TempFolder folder;
  std::string bytes = test::valid_gguf();
  bytes[4] = 2;
  const GgufFile file = GgufFile::open(folder.write("v2.gguf", bytes));
  EXPECT_EQ(file.version(), 2U);
  EXPECT_EQ(file.require_tensor("c").rows(), 2U);
  EXPECT_EQ(file.require_tensor("c").elements(), 64U);
}

TEST(Gguf, BytesAfterTheLastTensorAreIgnored) {
  const test::TempFolder folder;
  const GgufFile file = GgufFile::open(folder.write("m.gguf", test::valid_gguf() + "trailing"));
  EXPECT_EQ(file.tensors().size(), 3U);
}

TEST(Gguf, FileWithMetadataOnlyOpens) {
  const test::TempFolder folder;
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string("llama")});
  GgufWriter(metadata).write(folder / "vocab.gguf",
                             [](size_t) { return std::vector<std::byte>(); });
  EXPECT_EQ(GgufFile::open(folder / "vocab.gguf").metadata().require_string("general.architecture"),
            "llama");
}

TEST(Gguf, FormatThatCannotBeDecodedStillOpens) {
  const test::TempFolder folder;
  const Format* format = find_format("Q8_K");
  ASSERT_FALSE(format->supported());
  GgufWriter writer{GgufMetadata{}};
  writer.declare("w", *format, {format->block_elements});
  writer.write(folder / "m.gguf",
               [&](size_t) { return std::vector<std::byte>(format->block_bytes); });
  EXPECT_FALSE(GgufFile::open(folder / "m.gguf").require_tensor("w").format->supported());
}

TEST(Gguf, UnknownTensorTypeIsNamedWithItsTensor) {
  const test::TempFolder folder;
  for (const auto& [name, bytes] : test::malformed_gguf_corpus()) {
    if (name != "tensor_type_unknown_9999") continue;
    const auto path = folder.write("m.gguf", bytes);
    EXPECT_THAT(error_of([&] { GgufFile::open(path); }),
                testing::AllOf(HasSubstr("9999"), HasSubstr("tensor 'w'")));
  }
}

TEST(Gguf, MissingTensorAndMissingFileAreNamed) {
  const test::TempFolder folder;
  const GgufFile file = GgufFile::open(folder.write("m.gguf", test::valid_gguf()));
  EXPECT_EQ(file.find_tensor("nothing"), nullptr);
  EXPECT_THAT(error_of([&] { file.require_tensor("nothing"); }), HasSubstr("'nothing'"));
  EXPECT_THAT(error_of([&] { GgufFile::open(folder / "no.gguf"); }), HasSubstr("no.gguf"));
}

TEST(Gguf, ReleasedTensorReadsTheSame) {
  const test::TempFolder folder;
  const Sample sample;
  sample.writer().write(folder / "m.gguf", sample.fill());
  const GgufFile file = GgufFile::open(folder / "m.gguf");
  for (const auto& tensor : file.tensors()) file.release(tensor);
  sample.expect_tensors_of(file);
}

TEST(GgufMetadata, IntegersOfAnyWidthConvertAndNothingElseDoes) {
  GgufMetadata metadata;
  metadata.set("u8", {uint8_t{200}});
  metadata.set("i64", {int64_t{-1}});
  metadata.set("huge", {~uint64_t{0}});
  metadata.set("f", {1.5F});
  metadata.set("b", {true});
  metadata.set("s", {std::string("x\n")});
  EXPECT_EQ(metadata.get_int("u8"), 200);
  EXPECT_EQ(metadata.get_int("i64"), -1);
  EXPECT_EQ(metadata.get_int("absent"), std::nullopt);
  EXPECT_EQ(metadata.get_float("u8"), 200.0);
  EXPECT_EQ(metadata.get_float("f"), 1.5);
  EXPECT_EQ(metadata.get_bool("b"), true);
  EXPECT_THROW(metadata.get_int("huge"), Error);
  EXPECT_THROW(metadata.get_int("b"), Error);
  EXPECT_THROW(metadata.get_bool("u8"), Error);
  EXPECT_THROW(metadata.get_float("b"), Error);
  EXPECT_EQ(error_of([&] { metadata.get_int("f"); }),
            "key 'f': expected an integer, found float32");
  EXPECT_EQ(error_of([&] { metadata.get_strings("s"); }),
            "key 's': expected an array of strings, found string");
  EXPECT_THAT(error_of([&] { metadata.require_int("absent"); }), HasSubstr("'absent' is missing"));
}

TEST(GgufMetadata, ArraysConvertElementByElement) {
  GgufMetadata metadata;
  metadata.set("ints", {GgufValue::Array(std::vector<int16_t>{-1, 2})});
  metadata.set("floats", {GgufValue::Array(std::vector<double>{0.5, 2})});
  EXPECT_THAT(*metadata.get_ints("ints"), ElementsAre(-1, 2));
  EXPECT_THAT(*metadata.get_floats("ints"), ElementsAre(-1.0F, 2.0F));
  EXPECT_THAT(*metadata.get_floats("floats"), ElementsAre(0.5F, 2.0F));
  EXPECT_EQ(error_of([&] { metadata.get_ints("floats"); }),
            "key 'floats': expected an array of integers, found array of float64");
}

TEST(GgufMetadata, SetReplacesInPlaceAndEraseKeepsOrder) {
  GgufMetadata metadata;
  for (const char* key : {"a", "b", "c"}) metadata.set(key, {uint8_t{1}});
  metadata.set("b", {uint8_t{2}});
  metadata.erase("a");
  metadata.erase("absent");
  ASSERT_EQ(metadata.entries().size(), 2U);
  EXPECT_EQ(metadata.entries()[0].first, "b");
  EXPECT_EQ(metadata.get_int("b"), 2);
  EXPECT_EQ(metadata.get_int("c"), 1);
  EXPECT_FALSE(metadata.contains("a"));
}

TEST(GgufWriter, RefusesWhatNoReaderWouldTake) {
  const test::TempFolder folder;
  GgufWriter writer{GgufMetadata{}};
  EXPECT_THROW(writer.declare("", kF32, {1}), Error);
  EXPECT_THROW(writer.declare("w", kF32, {}), Error);
  EXPECT_THROW(writer.declare("w", kF32, {1, 1, 1, 1, 1}), Error);
  EXPECT_THROW(writer.declare("w", kF32, {4, 0}), Error);
  EXPECT_THROW(writer.declare("w", kQ8_0, {33}), Error);
  writer.declare("w", kF32, {1});
  EXPECT_THROW(writer.declare("w", kF32, {1}), Error);
  GgufMetadata metadata;
  metadata.set("general.alignment", {uint32_t{3}});
  EXPECT_THROW(GgufWriter(metadata).write(folder / "m.gguf",
                                          [](size_t) { return std::vector<std::byte>(); }),
               Error);
}

TEST(GgufWriter, WrongByteCountLeavesNoFile) {
  const test::TempFolder folder;
  GgufWriter writer{GgufMetadata{}};
  writer.declare("w", kF32, {2});
  EXPECT_THAT(error_of([&] {
                writer.write(folder / "m.gguf", [](size_t) { return std::vector<std::byte>(7); });
              }),
              testing::AllOf(HasSubstr("7 bytes"), HasSubstr("8 were declared")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

class GgufSplit : public testing::Test {
 protected:
  void SetUp() override { sample_.write_split(folder_ / "m"); }
  std::filesystem::path member(int number) const {
    return folder_ / ("m-0000" + std::to_string(number) + "-of-00003.gguf");
  }
  std::string open_error(int number) const {
    return error_of([&] { GgufFile::open(member(number)); });
  }

  test::TempFolder folder_;
  Sample sample_;
};

TEST_F(GgufSplit, AnyMemberOpensAll) {
  for (int number = 1; number <= 3; ++number) {
    const GgufFile file = GgufFile::open(member(number));
    EXPECT_THAT(file.paths(), ElementsAre(member(1), member(2), member(3)));
    EXPECT_EQ(file.metadata().require_string("general.architecture"), "llama");
    EXPECT_EQ(file.metadata().require_int("split.tensors.count"), 10);
    sample_.expect_tensors_of(file);
    EXPECT_EQ(file.tensors().back().file_index, 2U);
    file.release(file.tensors().back());
  }
}

TEST_F(GgufSplit, MissingMemberIsNamed) {
  std::filesystem::remove(member(2));
  EXPECT_THAT(open_error(3),
              testing::AllOf(HasSubstr("m-00002-of-00003.gguf"), HasSubstr("is missing")));
}

TEST_F(GgufSplit, ExchangedMembersAreRefused) {
  std::filesystem::rename(member(2), folder_ / "x");
  std::filesystem::rename(member(3), member(2));
  std::filesystem::rename(folder_ / "x", member(3));
  EXPECT_THAT(open_error(1), HasSubstr("split.no"));
}

TEST_F(GgufSplit, MemberUnderAnotherNameIsRefused) {
  std::filesystem::rename(member(1), folder_ / "m.gguf");
  EXPECT_THAT(error_of([&] { GgufFile::open(folder_ / "m.gguf"); }), HasSubstr("split.count"));
}

TEST_F(GgufSplit, MemberOfAnotherModelIsRefused) {
  Sample other;
  other.tensors.pop_back();
  other.write_split(folder_ / "other");
  std::filesystem::rename(folder_ / "other-00003-of-00003.gguf", member(3));
  EXPECT_THAT(open_error(1), HasSubstr("split.tensors.count"));
}

TEST_F(GgufSplit, TensorInTwoMembersIsRefused) {
  Sample other;
  other.tensors[9].name = other.tensors[0].name;
  other.tensors[0].name = "another";
  other.write_split(folder_ / "other");
  std::filesystem::rename(folder_ / "other-00003-of-00003.gguf", member(3));
  EXPECT_THAT(open_error(1), HasSubstr("earlier file"));
}

TEST_F(GgufSplit, SplitRewrittenAsOneFileForgetsTheSplit) {
  const GgufFile file = GgufFile::open(member(1));
  const auto writer = make_writer(file, folder_ / "one.gguf");
  for (const auto& tensor : file.tensors())
    writer->declare(tensor.name, *tensor.format, tensor.shape);
  writer->write(folder_ / "one.gguf", sample_.fill());
  const GgufFile one = GgufFile::open(folder_ / "one.gguf");
  EXPECT_FALSE(one.metadata().contains("split.count"));
  sample_.expect_tensors_of(one);
}

}  // namespace
}  // namespace tessera
