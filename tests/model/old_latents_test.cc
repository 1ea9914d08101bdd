// GGUF files of DeepSeek as they were before the latent's matrix lay in two answer as those since.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "files/gguf/reader.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/rewritten_gguf.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kHeads = 4;
constexpr LatentLengths kLengths;
constexpr int kOwnKey = kLengths.key - kLengths.rotated;  // what is not rotated
constexpr int kEach = kOwnKey + kLengths.value;

std::vector<float> values_of(const StoredTensor& tensor) {
  std::vector<float> values(tensor.elements());
  tensor.decode(0, tensor.rows(), values);
  return values;
}

class OldLatents : public testing::Test {
 protected:
  void SetUp() override {
    now_ = write_tiny_model({.architecture = "deepseek2", .heads = kHeads}, folder_.path());
  }

  static void old_facts(GgufMetadata& metadata) {
    for (const char* name :
         {"deepseek2.attention.key_length_mla", "deepseek2.attention.value_length_mla"})
      metadata.erase(name);
    for (const auto& [name, value] : {std::pair("deepseek2.attention.key_length", kLengths.key),
                                      std::pair("deepseek2.attention.value_length", kLengths.value),
                                      std::pair("deepseek2.attention.head_count_kv", kHeads)})
      metadata.set(name, {static_cast<uint32_t>(value)});
  }

  // [heads * (key + value), latent]
  std::vector<float> joined(const std::string& module) const {
    const GgufFile file = GgufFile::open(now_);
    const std::vector<float> keys = values_of(file.require_tensor(module + "attn_k_b.weight")),
                             values = values_of(file.require_tensor(module + "attn_v_b.weight"));
    const int latent = kLengths.key_value;
    std::vector<float> result;
    for (int head = 0; head < kHeads; ++head) {
      for (int row = 0; row < kEach; ++row) {
        for (int column = 0; column < latent; ++column) {
          const int key = (head * latent + column) * kOwnKey + row;
          const int value = (head * kLengths.value + row - kOwnKey) * latent + column;
          result.push_back(row < kOwnKey ? keys[static_cast<size_t>(key)]
                                         : values[static_cast<size_t>(value)]);
        }
      }
    }
    return result;
  }

  fs::path old_file(const std::function<void(GgufMetadata&)>& facts, const Format& format = kF32) {
    return test::rewrite_gguf(
        now_, folder_ / "old.gguf",
        {.metadata = facts,
         .tensor =
             [&](StoredTensor& tensor) {
               if (tensor.name.ends_with("attn_v_b.weight")) return false;
               if (!tensor.name.ends_with("attn_k_b.weight")) return true;
               tensor.name.replace(tensor.name.find("attn_k_b"), 8, "attn_kv_b");
               tensor.shape = {kLengths.key_value, kHeads * kEach};
               tensor.format = &format;
               return true;
             },
         .bytes =
             [&](const StoredTensor& tensor, std::vector<std::byte>& bytes) {
               if (!tensor.name.ends_with("attn_kv_b.weight")) return;
               const std::vector<float> values =
                   joined(tensor.name.substr(0, tensor.name.find("attn_kv_b")));
               bytes.resize(format.row_bytes(tensor.columns()) * tensor.rows());
               for (uint64_t row = 0; row < tensor.rows(); ++row) {
                 format.encode(std::span(values).subspan(row * tensor.columns(), tensor.columns()),
                               bytes.data() + row * format.row_bytes(tensor.columns()), {});
               }
             }});
  }

  test::TempFolder folder_;
  fs::path now_;
};

TEST_F(OldLatents, AnswerWithTheSameBits) {
  const std::vector<Token> tokens = random_tokens(40, 320, 3);
  ModelRunner now(now_), old(old_file(old_facts));
  EXPECT_EQ(now.run_text(tokens), old.run_text(tokens));
}

TEST_F(OldLatents, OfBlocksAreTakenApartExactly) {
  const fs::path path = old_file(old_facts, kQ8_0);
  const GgufFile file = GgufFile::open(path);
  const StoredTensor& keys = file.require_tensor("blk.1.attn_k_b.weight");
  const StoredTensor& values = file.require_tensor("blk.1.attn_v_b.weight");
  EXPECT_EQ(keys.format, &kF32);
  EXPECT_EQ(values.format, &kQ8_0);
  const std::vector<float> whole = joined("blk.1.");
  const std::vector<float> found_keys = values_of(keys), found_values = values_of(values);
  const uint64_t latent = kLengths.key_value;
  std::vector<std::byte> row(kQ8_0.row_bytes(latent));
  std::vector<float> expected(latent);
  for (uint64_t r = 0; r < kHeads * kEach; ++r) {
    kQ8_0.encode(std::span(whole).subspan(r * latent, latent), row.data(), {});
    kQ8_0.decode(row.data(), expected);
    const uint64_t head = r / kEach, in_head = r % kEach;
    for (uint64_t c = 0; c < latent; ++c) {
      const float found =
          in_head < kOwnKey
              ? found_keys[(head * latent + c) * kOwnKey + in_head]
              : found_values[(head * kLengths.value + in_head - kOwnKey) * latent + c];
      ASSERT_EQ(found, expected[c]) << r << " " << c;
    }
  }
}

// As ik_llama.cpp's files have them: the one that does not go with the facts is not read.
TEST_F(OldLatents, BesideNewOnesAreDropped) {
  const GgufFile file = GgufFile::open(old_file([](GgufMetadata&) {}));
  EXPECT_EQ(file.find_tensor("blk.0.attn_kv_b.weight"), nullptr);
}

TEST_F(OldLatents, FactsThatDoNotGoTogetherAreRefused) {
  const auto error = [&](std::string_view fact, uint32_t value) {
    const fs::path path = old_file([&](GgufMetadata& metadata) {
      old_facts(metadata);
      metadata.set("deepseek2." + std::string(fact), {value});
    });
    return error_of([&] { GgufFile::open(path); });
  };
  EXPECT_THAT(error("attention.head_count", 5), HasSubstr("for each of 5 heads"));
  EXPECT_THAT(error("attention.head_count", 0), HasSubstr("0 is out of range"));
  EXPECT_THAT(error("rope.dimension_count", 64), HasSubstr("64 of keys of 64"));
  EXPECT_THAT(error("attention.key_length", 1000), HasSubstr("no keys of 968"));
}

}  // namespace
}  // namespace tessera
