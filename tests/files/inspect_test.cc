#include "files/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "base/utf8.h"
#include "files/gguf/writer.h"
#include "files/open.h"
#include "support/error_of.h"
#include "support/safetensors.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("plain \xc3\xa9 text"), "plain \xc3\xa9 text");
  EXPECT_EQ(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
  EXPECT_EQ(printable("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\u009b");           // a control character of two bytes
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\u202e");       // right-to-left override
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");        // not UTF-8
  EXPECT_EQ(printable("back\\slash"), "back\\\\slash");  // else "\n" could be either
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("ab\xc3\xa9", 3), "ab...");
}

TEST(Utf8, AcceptsExactlyTheStandard) {
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_TRUE(
      is_valid_utf8("\x7f\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xc3"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << printable(bad);
  }
  EXPECT_EQ(replace_invalid_bytes("a\xff"
                                  "b"),
            "a\xef\xbf\xbd"
            "b");
}

class Inspect : public testing::Test {
 protected:
  std::filesystem::path model(uint32_t numbers = 1000) {
    GgufMetadata metadata;
    metadata.set("general.name", {std::string("evil\x1b]0;title\x07\nname\xff")});
    metadata.set("x.flag", {true});
    metadata.set("x.byte", {uint8_t{65}});
    std::vector<uint32_t> long_array(numbers);
    for (uint32_t i = 0; i < numbers; ++i) long_array[i] = 70'000 + i;
    metadata.set("x.numbers", {GgufValue::Array(std::move(long_array))});
    metadata.set("x.words", {GgufValue::Array(std::vector<std::string>{"one", "\x1b[2J"})});
    GgufWriter writer(metadata);
    writer.declare("first\x1b.weight", kQ8_0, {64, 3});
    writer.declare("second.weight", kF32, {10});
    writer.write(folder_ / "m.gguf",
                 [](size_t i) { return std::vector<std::byte>(i == 0 ? 204 : 40); });
    return folder_ / "m.gguf";
  }
  test::TempFolder folder_;
};

TEST_F(Inspect, TextShowsTensorsTotalsAndShortArrays) {
  const std::string text = describe_file(model());
  EXPECT_THAT(text, HasSubstr("GGUF version 3, alignment 32"));
  EXPECT_THAT(text, HasSubstr("x.numbers (array of uint32) = [70000, 70001, "));
  EXPECT_THAT(text, HasSubstr("1000 in all]"));
  EXPECT_THAT(text, Not(HasSubstr("70100")));
  EXPECT_THAT(text, HasSubstr("x.byte (uint8) = 65"));
  EXPECT_THAT(text, HasSubstr("x.flag (bool) = true"));
  EXPECT_THAT(text, HasSubstr("64 x 3"));
  EXPECT_THAT(text, HasSubstr("9.66 bits per weight"));  // (204 + 40) * 8 / (192 + 10)
}

TEST_F(Inspect, TextHoldsNoControlCharacterFromTheFile) {
  for (const char c : describe_file(model())) {
    EXPECT_FALSE((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f)
        << static_cast<int>(c);
  }
  EXPECT_THAT(describe_file(model()), HasSubstr("evil\\x1b]0;title\\x07\\nname\\xff"));
}

TEST_F(Inspect, JsonHoldsTheSame) {
  const nlohmann::json json = nlohmann::json::parse(describe_file_json(model()).dump());
  EXPECT_EQ(json["version"], 3);
  EXPECT_EQ(json["files"].size(), 1U);
  EXPECT_EQ(json["metadata"][0]["key"], "general.name");
  EXPECT_EQ(json["metadata"][1]["value"], true);
  EXPECT_EQ(json["metadata"][3]["type"], "array of uint32");
  EXPECT_EQ(json["metadata"][3]["count"], 1000);
  EXPECT_LT(json["metadata"][3]["first"].size(), 100U);
  EXPECT_EQ(json["tensors"][0]["shape"], (std::vector<int>{64, 3}));
  EXPECT_EQ(json["tensors"][0]["format"], "Q8_0");
  EXPECT_EQ(json["tensors"][1]["bytes"], 40);
  EXPECT_EQ(json["tensors"][1]["offset"].get<uint64_t>() % 32, 0U);
  EXPECT_EQ(json["totals"]["parameters"], 202);
  EXPECT_EQ(json["totals"]["bytes"], 244);
  EXPECT_EQ(json["totals"]["formats"]["Q8_0"]["tensors"], 1);
}

TEST_F(Inspect, AnAdapterIsShownWithoutItsModel) {
  const auto folder = folder_ / "adapter";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "adapter_config.json")
      << R"({"peft_type": "LORA", "r": 2, "lora_alpha": 0.5, "use_dora": true, "revision": null,
             "target_modules": ["q_proj", "v\u001b"]})";
  const std::string name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  std::ofstream(folder / "adapter_model.safetensors", std::ios::binary)
      << test::safetensors_of({test::float_tensor(name, {2, 4}, std::vector<float>(8))});
  for (const auto& path : {folder, folder / "adapter_model.safetensors"}) {
    const std::string text = describe_file(path);
    EXPECT_THAT(text, HasSubstr("a LoRA adapter in safetensors"));
    EXPECT_THAT(text, HasSubstr("peft_type (string) = \"LORA\""));
    EXPECT_THAT(text, HasSubstr("r (int64) = 2\n"));
    EXPECT_THAT(text, HasSubstr("lora_alpha (float64) = 0.5"));
    EXPECT_THAT(text, HasSubstr("use_dora (bool) = true"));
    EXPECT_THAT(text, HasSubstr(R"(target_modules (string) = "["q_proj",)"));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr(name));
    EXPECT_THAT(text, HasSubstr("4 x 2"));
    EXPECT_EQ(describe_file_json(path)["totals"]["parameters"], 8);
    EXPECT_THAT(error_of([&] { open_checkpoint(path); }), HasSubstr("give it with --lora"));
  }
}

TEST_F(Inspect, FileWithoutTensorsHasTotalsOfZero) {
  GgufWriter(GgufMetadata{}).write(folder_ / "e.gguf", [](size_t) {
    return std::vector<std::byte>();
  });
  EXPECT_EQ(describe_file_json(folder_ / "e.gguf")["totals"]["bits_per_weight"], 0.0);
  EXPECT_THAT(describe_file(folder_ / "e.gguf"), HasSubstr("tensors (0)"));
}

}  // namespace
}  // namespace tessera
