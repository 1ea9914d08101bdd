// What a student begins with: some of its teacher's layers, or a model with the same tokens.
#include "train/student.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "files/kept_layers.h"
#include "files/open.h"
#include "model/layer_choice.h"
#include "model/reader.h"
#include "paths.h"
#include "support/error_of.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"
#include "train/decoded.h"
#include "train/whole.h"

namespace tessera::train {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> logits_of(const std::shared_ptr<const Checkpoint>& checkpoint) {
  Model model(checkpoint, make_test_backend(2), {.context = 32, .rows = 16});
  Reader reader(model, 9, KvFormat::kF16);
  std::vector<float> all;
  reader.read(std::vector<Token>{5, 9, 30, 7, 2, 41, 17, 8, 44}, Reader::Logits::kAll,
              [&](HostRows logits, int) {
                for (int r = 0; r < logits.rows; ++r)
                  all.insert(all.end(), logits.row(r).begin(), logits.row(r).end());
              });
  return all;
}

class StudentTest : public testing::Test {
 protected:
  std::shared_ptr<const Checkpoint> tiny(const TinyModelSpec& spec) const {
    return open_checkpoint(write_tiny_model(spec, folder_.path()));
  }
  // As it is written, and opened again.
  std::shared_ptr<const Checkpoint> written(const Checkpoint& model) const {
    ThreadPool pool(2);
    const fs::path path = folder_ / "written.gguf";
    const Recipe& recipe = require_recipe("F32");
    save_whole(model, make_whole(model), recipe, plan_whole(model, recipe, false), pool, path);
    return open_checkpoint(path);
  }
  static std::string refusal(const std::string& spec, const std::shared_ptr<const Checkpoint>& of) {
    return error_of([&] { open_student(spec, of, *Tokenizer::make(of->read_tokenizer())); });
  }
  const test::TempFolder folder_;
};

TEST(SpreadLayersTest, TakesThoseThatDistilBertTakes) {
  EXPECT_THAT(spread_layers(12, 6), ElementsAre(0, 2, 4, 7, 9, 11));
  EXPECT_THAT(spread_layers(30, 5), ElementsAre(0, 7, 15, 22, 29));
  EXPECT_THAT(spread_layers(4, 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(spread_layers(7, 2), ElementsAre(0, 6));
  EXPECT_THAT(spread_layers(7, 1), ElementsAre(0));
  for (int count = 2; count <= 30; ++count) {
    const std::vector<int> layers = spread_layers(30, count);
    EXPECT_EQ(layers.front(), 0);
    EXPECT_EQ(layers.back(), 29);
    for (size_t i = 1; i < layers.size(); ++i) EXPECT_LT(layers[i - 1], layers[i]);
  }
}

TEST(StudentLayersTest, AreANumberOrAList) {
  EXPECT_THAT(parse_student_layers("3", 7), ElementsAre(0, 3, 6));
  EXPECT_THAT(parse_student_layers("7", 7), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  EXPECT_THAT(parse_student_layers("1,2,6", 7), ElementsAre(1, 2, 6));
  for (const char* text : {"", "x", "1,", ",1", "1,,2", "1 ,2", "-1", "2.5", "99999999999"}) {
    EXPECT_THAT(error_of([&] { parse_student_layers(text, 7); }),
                HasSubstr("expected a number of layers, or their numbers with commas"))
        << text;
  }
  const auto error = [](const char* text) {
    return error_of([&] { parse_student_layers(text, 7); });
  };
  EXPECT_EQ(error("0"), "the student is to have 0 layers, expected 1 to the teacher's 7");
  EXPECT_EQ(error("8"), "the student is to have 8 layers, expected 1 to the teacher's 7");
  EXPECT_EQ(error("0,7"), "layer 7 is not there: the teacher has layers 0 to 6");
  EXPECT_EQ(error("0,3,3"),
            "layer 3 behind layer 3: a student's layers are in their order, and each only once");
}

TEST_F(StudentTest, HasItsTeachersLayersInTheirOrder) {
  const auto teacher = tiny({.layers = 4, .rope_scaling = "llama3", .uneven_layers = true});
  const auto tokenizer = Tokenizer::make(teacher->read_tokenizer());
  const auto student = open_student("layers=0,1,3", teacher, *tokenizer);
  EXPECT_EQ(read_config(*student).layers.size(), 3u);
  for (const auto& [layer, from] : {std::pair(0, 0), {1, 1}, {2, 3}}) {
    for (const TensorRole role :
         {TensorRole::kQuery, TensorRole::kDown, TensorRole::kAttentionNorm}) {
      EXPECT_EQ(decoded(student->require({role, layer})), decoded(teacher->require({role, from})));
    }
  }
  EXPECT_EQ(student->find({TensorRole::kQuery, 3}), nullptr);
  EXPECT_EQ(student->tensors().size(),
            teacher->tensors().size() - (teacher->tensors().size() - 4) / 4);
  EXPECT_EQ(logits_of(student), logits_of(written(*student)));
}

TEST_F(StudentTest, OfAllLayersIsItsTeacher) {
  const auto teacher = tiny({.format = &kQ4_0, .layers = 3, .tied = true});
  const auto tokenizer = Tokenizer::make(teacher->read_tokenizer());
  EXPECT_EQ(logits_of(open_student("layers=3", teacher, *tokenizer)), logits_of(teacher));
}

// Rows that a folder packs otherwise, columns in another order, names of its own.
TEST_F(StudentTest, MayBeOfAFolder) {
  for (const char* name : {"folders/llama", "quantized/gptq-order", "folders/gpt2"}) {
    const test::TempFolder folder;
    fs::copy(fs::path(TESSERA_TEST_DATA) / name, folder.path());
    folder.write("tokenizer.json",  // there must be one
                 R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
                     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                     "decoder": {"type": "ByteLevel"}})");
    const auto teacher = open_checkpoint(folder.path());
    const auto tokenizer = Tokenizer::make(teacher->read_tokenizer());
    const size_t layers = read_config(*teacher).layers.size();
    const auto student = open_student(fmt::format("layers={}", layers), teacher, *tokenizer);
    EXPECT_EQ(logits_of(student), logits_of(teacher)) << name;
    EXPECT_EQ(logits_of(written(*student)), logits_of(written(*teacher))) << name;
    const auto last = keep_layers(teacher, std::vector<int>{static_cast<int>(layers) - 1});
    EXPECT_EQ(read_config(*last).layers.size(), 1u);
  }
}

TEST_F(StudentTest, WhatCannotLoseALayerIsNoTeacherOfOneThatHasFewer) {
  const auto turns = tiny({.architecture = "gemma3"});
  EXPECT_EQ(refusal("layers=2", turns),
            "the layers of this model take turns, which dropping some would confuse");
  EXPECT_THAT(refusal("layers=2", tiny({.architecture = "qwen3moe"})),
              HasSubstr("cannot be trained yet: training has no way back through mixtures"));
  EXPECT_EQ(error_of([&] {
              keep_layers(turns, std::vector<int>{0, 9});
            }),
            "layer 9 is not there: the model has layers 0 to 6");
  const auto tokenizer = Tokenizer::make(turns->read_tokenizer());
  EXPECT_EQ(read_config(*open_student("layers=7", turns, *tokenizer)).layers.size(), 7u);
}

TEST_F(StudentTest, MayBeAnotherModelWithTheSameTokens) {
  const auto teacher = tiny({.layers = 3});
  const auto tokenizer = Tokenizer::make(teacher->read_tokenizer());
  const fs::path smaller =
      write_tiny_model({.seed = 2, .layers = 1, .embedding = 96}, folder_.path());
  EXPECT_EQ(read_config(*open_student(smaller.string(), teacher, *tokenizer)).embedding, 96);
  const fs::path other = write_tiny_model({.vocabulary = 400}, folder_.path());
  EXPECT_EQ(refusal(other.string(), teacher),
            "the student '" + other.string() +
                "' has another vocabulary than its teacher: 400 tokens, here they are 320");
  const fs::path foreign = write_tiny_model({.merges = false}, folder_.path());
  EXPECT_THAT(refusal(foreign.string(), teacher), HasSubstr("its token "));
  const fs::path mixture = write_tiny_model({.architecture = "qwen3moe"}, folder_.path());
  EXPECT_THAT(refusal(mixture.string(), teacher), HasSubstr("mixtures of experts"));
  EXPECT_THAT(refusal((folder_ / "none.gguf").string(), teacher), HasSubstr("none.gguf"));
}

}  // namespace
}  // namespace tessera::train
