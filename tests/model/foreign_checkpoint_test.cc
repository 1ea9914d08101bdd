// A checkpoint of another kind is one class: its own names, its own keys, the same model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "files/gguf/reader.h"
#include "support/error_of.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;

constexpr auto kRows = std::to_array<TensorNames::Row>({
    {TensorRole::kTokenEmbedding, "model.embed_tokens.weight"},
    {TensorRole::kOutputNorm, "model.norm.weight"},
    {TensorRole::kOutput, "lm_head.weight"},
    {TensorRole::kAttentionNorm, "model.layers.*.input_layernorm.weight"},
    {TensorRole::kQuery, "model.layers.*.self_attn.q_proj.weight"},
    {TensorRole::kKey, "model.layers.*.self_attn.k_proj.weight"},
    {TensorRole::kValue, "model.layers.*.self_attn.v_proj.weight"},
    {TensorRole::kAttentionOutput, "model.layers.*.self_attn.o_proj.weight"},
    {TensorRole::kFeedForwardNorm, "model.layers.*.post_attention_layernorm.weight"},
    {TensorRole::kGate, "model.layers.*.mlp.gate_proj.weight"},
    {TensorRole::kUp, "model.layers.*.mlp.up_proj.weight"},
    {TensorRole::kDown, "model.layers.*.mlp.down_proj.weight"},
});
constexpr TensorNames kNames(kRows);

// Those of a GGUF file under other keys.
class ForeignFacts final : public Facts {
 public:
  explicit ForeignFacts(const GgufMetadata& metadata) : facts_(metadata) {}

  std::string key_of(std::string_view name) const override { return "config/" + std::string(name); }
  std::optional<int64_t> get_int(std::string_view name) const override {
    return name == hidden_ ? std::nullopt : facts_.get_int(name);
  }
  std::optional<double> get_float(std::string_view name) const override {
    return facts_.get_float(name);
  }
  std::optional<std::string> get_string(std::string_view name) const override {
    return facts_.get_string(name);
  }
  std::optional<std::vector<int64_t>> get_ints(std::string_view name) const override {
    return facts_.get_ints(name);
  }
  std::optional<bool> get_bool(std::string_view name) const override {
    return facts_.get_bool(name);
  }
  std::optional<std::vector<bool>> get_bools(std::string_view name) const override {
    return facts_.get_bools(name);
  }
  bool is_list(std::string_view name) const override { return facts_.is_list(name); }

  void hide(std::string name) { hidden_ = std::move(name); }

 private:
  GgufFacts facts_;
  std::string hidden_;
};

// The tensors of a GGUF file under other names, each changed by `change` if it likes.
class ForeignCheckpoint final : public Checkpoint {
 public:
  using Change = std::function<bool(StoredTensor&)>;  // false: leave it out

  explicit ForeignCheckpoint(
      const std::filesystem::path& path, const Change& change = [](StoredTensor&) { return true; })
      : ForeignCheckpoint(GgufFile::open(path), change) {}

  const Facts& facts() const override { return facts_; }
  ForeignFacts& mutable_facts() { return facts_; }
  TokenizerData read_tokenizer() const override { fail("this checkpoint holds no tokenizer"); }
  ChatTemplates read_chat_templates() const override { return {}; }

 private:
  ForeignCheckpoint(const GgufFile& source, const Change& change) : facts_(source.metadata()) {
    const MappedFile& file = add_file(source.paths()[0]);
    for (StoredTensor tensor : source.tensors()) {
      tensor.bytes = file.bytes().subspan(source.offset_of(tensor), tensor.bytes.size());
      tensor.name = kNames.name_of(tensor.place);
      if (change(tensor)) add_tensor(std::move(tensor));
    }
  }
  std::string tensor_name(TensorPlace place) const override { return kNames.name_of(place); }
  TensorPlace tensor_place(std::string_view name) const override { return kNames.place_of(name); }

  ForeignFacts facts_;
};

class ForeignCheckpointTest : public testing::Test {
 protected:
  std::string load_error(std::shared_ptr<const Checkpoint> checkpoint) const {
    return error_of([&] { ModelRunner(std::move(checkpoint), {}); });
  }

  test::TempFolder folder_;
  const std::filesystem::path path_ = write_tiny_model({}, folder_.path());
};

TEST_F(ForeignCheckpointTest, GivesTheSameLogitsBitForBit) {
  ModelRunner gguf(path_), foreign(std::make_shared<const ForeignCheckpoint>(path_), {});
  const auto tokens = random_tokens(40, gguf.model().config().vocabulary, 1);
  EXPECT_EQ(gguf.run_text(tokens), foreign.run_text(tokens));
}

TEST_F(ForeignCheckpointTest, ErrorsUseItsOwnNames) {
  const auto without_keys =
      std::make_shared<const ForeignCheckpoint>(path_, [](StoredTensor& tensor) {
        return tensor.place != TensorPlace{TensorRole::kKey, 1};
      });
  EXPECT_THAT(load_error(without_keys), HasSubstr("'model.layers.1.self_attn.k_proj.weight'"));

  const auto without_layers = std::make_shared<ForeignCheckpoint>(path_);
  without_layers->mutable_facts().hide("block_count");
  EXPECT_THAT(load_error(without_layers), HasSubstr("'config/block_count'"));

  const auto with_another = std::make_shared<const ForeignCheckpoint>(path_, [](StoredTensor& t) {
    if (t.place.role == TensorRole::kOutputNorm) t.name = "model.surprise.weight";
    return true;
  });
  EXPECT_THAT(load_error(with_another), HasSubstr("'model.norm.weight' is missing"));
}

// What puts the rows of a tensor together is asked for them, and gives the same model.
TEST_F(ForeignCheckpointTest, RowsMayComeFromASource) {
  class Copy final : public RowSource {
   public:
    explicit Copy(const StoredTensor& tensor)
        : bytes_(tensor.bytes), row_bytes_(tensor.format->row_bytes(tensor.columns())) {}
    void read(uint64_t first, uint64_t count, std::byte* out) const override {
      std::ranges::copy(bytes_.subspan(first * row_bytes_, count * row_bytes_), out);
    }
    std::vector<std::span<const std::byte>> stored() const override { return {bytes_}; }

   private:
    std::span<const std::byte> bytes_;
    uint64_t row_bytes_;
  };
  ModelRunner gguf(path_);
  ModelRunner sourced(std::make_shared<const ForeignCheckpoint>(
                          path_,
                          [](StoredTensor& tensor) {
                            tensor.source = std::make_shared<const Copy>(tensor);
                            tensor.bytes = {};
                            return true;
                          }),
                      {});
  const auto tokens = random_tokens(40, gguf.model().config().vocabulary, 1);
  EXPECT_EQ(gguf.run_text(tokens), sourced.run_text(tokens));
}

}  // namespace
}  // namespace tessera
