// Importance matrices: both layouts, and what is none.
#include "files/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "files/gguf/reader.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using testing::HasSubstr;

Imatrix example() {
  Imatrix imatrix;
  imatrix.entries["blk.0.attn_q.weight"] = {.sums = {2, 4, 8}, .counts = {4}};
  imatrix.entries["blk.0.ffn_up_exps.weight"] = {.sums = {1, 2, 3, 4}, .counts = {2, 0}};
  imatrix.datasets = {"text.txt"};
  imatrix.chunks = 2;
  imatrix.chunk_tokens = 512;
  return imatrix;
}

class ImatrixTest : public testing::Test {
 protected:
  std::string error_of_bytes(std::string_view bytes) const {
    const auto path = folder_.write("bad", bytes);
    return error_of([&] { read_imatrix(path); });
  }
  test::TempFolder folder_;
};

TEST_F(ImatrixTest, GgufHoldsAllOfIt) {
  const auto path = folder_ / "a.gguf";
  write_imatrix(example(), path);
  const Imatrix read = read_imatrix(path);
  EXPECT_EQ(read.datasets, example().datasets);
  EXPECT_EQ(read.chunks, 2U);
  EXPECT_EQ(read.chunk_tokens, 512U);
  ASSERT_EQ(read.entries.size(), 2U);
  EXPECT_EQ(read.entries.at("blk.0.attn_q.weight").means(), (std::vector<float>{0.5f, 1, 2}));
  EXPECT_EQ(read.entries.at("blk.0.ffn_up_exps.weight").matrices(), 2U);
  // As llama.cpp has it.
  const GgufFile file = GgufFile::open(path);
  EXPECT_EQ(file.metadata().require_string("general.type"), "imatrix");
  EXPECT_EQ(file.require_tensor("blk.0.ffn_up_exps.weight.in_sum2").shape,
            (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ(file.require_tensor("blk.0.ffn_up_exps.weight.counts").shape,
            (std::vector<uint64_t>{1, 2}));
}

TEST_F(ImatrixTest, TheOlderLayoutHoldsMeans) {
  const auto path = folder_ / "a.dat";
  write_imatrix(example(), path);
  const Imatrix read = read_imatrix(path);
  EXPECT_EQ(read.entries.at("blk.0.attn_q.weight").means(), (std::vector<float>{0.5f, 1, 2}));
  EXPECT_EQ(read.datasets, example().datasets);
  EXPECT_EQ(read.chunks, 2U);
}

TEST_F(ImatrixTest, EveryTruncationIsOneLine) {
  for (const char* name : {"a.dat", "a.gguf"}) {
    write_imatrix(example(), folder_ / name);
    const std::string bytes = test::read_bytes(folder_ / name);
    for (size_t size = 1; size + 1 < bytes.size(); ++size) {
      const auto path = folder_.write("cut", bytes.substr(0, size));
      try {
        read_imatrix(path);  // an older .dat may end before its chunks
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
  }
}

TEST_F(ImatrixTest, WhatIsNoneIsTold) {
  const auto model = write_tiny_model({}, folder_.path());
  EXPECT_THAT(error_of([&] { read_imatrix(model); }), HasSubstr("is no importance matrix"));
  EXPECT_THAT(error_of_bytes("some text that is no importance matrix"), HasSubstr("expected 1 to"));
  Imatrix bad = example();
  bad.entries.begin()->second.sums[1] = std::nanf("");
  write_imatrix(bad, folder_ / "nan.gguf");
  EXPECT_THAT(error_of([&] { read_imatrix(folder_ / "nan.gguf"); }), HasSubstr("holds nan"));
  bad.entries.begin()->second.sums[1] = -1;
  write_imatrix(bad, folder_ / "negative.dat");
  EXPECT_THAT(error_of([&] { read_imatrix(folder_ / "negative.dat"); }), HasSubstr("holds -"));
}

}  // namespace
}  // namespace tessera
