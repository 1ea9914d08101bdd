// The logits of a token depend on its own context and on nothing else, bit for bit
// (docs/architecture.md): E1 not on the batch, E2 not on the number of threads, E3 not on the
// cache, E5 not on the run. E4, the decoder, is the engine's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "devices/device.h"
#include "files/model_reference.h"
#include "support/model_runner.h"
#include "support/temp_folder.h"
#include "support/test_backend.h"
#include "support/tiny_model.h"

namespace tessera {
namespace {

constexpr int kLength = 90;  // past two blocks of the KV cache, and past gemma's window

struct Subject {
  std::string architecture, format;
  KvFormat kv;
  bool uneven = false;    // layers of different key-value heads, in number and length
  int experts = 0;        // 0: the family's usual ones
  std::string like = {};  // a model of the family whose lengths of heads it has
};

// Bits, not values: -0 is not 0, and NaN (which no test may produce) equals nothing here.
::testing::AssertionResult same_bits(const LogitRow& a, const LogitRow& b) {
  if (a.size() != b.size())
    return ::testing::AssertionFailure() << a.size() << " logits and " << b.size();
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "logit " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

class Exactness : public ::testing::TestWithParam<Subject> {
 protected:
  void SetUp() override {
    if (GetParam().architecture == "smollm2") {
      try {
        path_ = resolve_model("smollm2:135m");
      } catch (const Error& error) {
        GTEST_SKIP() << error.what();
      }
    } else {
      path_ = write_tiny();
    }
    runner_ = std::make_unique<ModelRunner>(path_, options(2));
    tokens_ = random_tokens(kLength, 320, 21);
    reference_ = one_by_one(*runner_, tokens_);
  }

  std::filesystem::path write_tiny() {
    // Heads of 32, which q8_0 keys and values need.
    const TinyModelSpec spec{.architecture = GetParam().architecture,
                             .format = find_format(GetParam().format),
                             .embedding = GetParam().uneven ? 256 : 128,
                             .heads = 4,
                             .experts = GetParam().experts,
                             .latent = GetParam().like.empty() ? LatentLengths{} : kGlm47Flash,
                             .context = GetParam().architecture == "mistral3" ? 160 : 0,
                             // Queries that grow from position 40 on.
                             .rope_scaling = GetParam().architecture == "mistral3" ? "yarn" : "",
                             .uneven_kv_heads = GetParam().uneven,
                             .uneven_head_dims = GetParam().uneven};
    const bool wide = spec.format->block_elements > 32;
    return write_tiny_model(
        wide ? TinyModelSpec{.architecture = spec.architecture, .format = spec.format} : spec,
        folder_.path());
  }

  ModelRunner::Options options(int threads) const {
    return {.threads = threads, .kv = GetParam().kv};
  }

  // The plainest way: alone, one token a step.
  static std::vector<LogitRow> one_by_one(ModelRunner& runner, std::span<const Token> tokens) {
    const std::vector<int32_t> table = runner.new_table(static_cast<int>(tokens.size()));
    std::vector<LogitRow> rows;
    for (int i = 0; i < static_cast<int>(tokens.size()); ++i) {
      rows.push_back(runner.run_chain(tokens.subspan(static_cast<size_t>(i), 1), i, table)[0]);
    }
    return rows;
  }

  int random(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random_);
  }  // inclusive
  std::span<const Token> part(int first, int count) const {
    return std::span(tokens_).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
  }
  void expect_reference(const std::vector<LogitRow>& rows, int first_position, int first_row = 0,
                        int count = -1) {
    const int end = count < 0 ? static_cast<int>(rows.size()) : first_row + count;
    for (int r = first_row; r < end; ++r) {
      const int position = first_position + r - first_row;
      ASSERT_TRUE(same_bits(rows[r], reference_[position])) << "position " << position;
    }
  }

  test::TempFolder folder_;
  std::filesystem::path path_;
  std::unique_ptr<ModelRunner> runner_;
  std::vector<Token> tokens_;
  std::vector<LogitRow> reference_;
  std::mt19937 random_{5};
};

TEST_P(Exactness, E1PromptChunksOfAnyLength) {
  expect_reference(runner_->run_text(tokens_), 0);
  for (int round = 0; round < 4; ++round) {
    const std::vector<int32_t> table = runner_->new_table(kLength);
    for (int done = 0; done < kLength;) {
      const int count = std::min(random(1, 40), kLength - done);
      expect_reference(runner_->run_chain(part(done, count), done, table), done);
      done += count;
    }
  }
}

TEST_P(Exactness, E1AnyCompanyInTheBatch) {
  // Four other texts step along, with chunks of any length, before and behind ours in the batch.
  std::vector<std::vector<Token>> others;
  std::vector<std::vector<int32_t>> tables;
  std::vector<int> done(4, 0);
  for (int i = 0; i < 4; ++i) {
    others.push_back(random_tokens(200, 320, 100 + static_cast<uint64_t>(i)));
    tables.push_back(runner_->new_table(200));
  }
  const std::vector<int32_t> table = runner_->new_table(kLength);
  for (int position = 0; position < kLength;) {
    const int count = std::min(random(1, 25), kLength - position);
    Batch batch;
    const int place = random(0, 4);
    int first_row = 0;
    for (int i = 0; i <= 4; ++i) {
      if (i == place) {
        first_row = batch.rows();
        runner_->add_chain(batch, part(position, count), position, table);
      }
      if (i == 4) break;
      const int company = std::min(random(0, 30), 200 - done[i]);
      const auto theirs = std::span(others[i]).subspan(static_cast<size_t>(done[i]));
      runner_->add_chain(batch, theirs.first(static_cast<size_t>(company)), done[i], tables[i]);
      done[i] += company;
    }
    expect_reference(runner_->run(batch), position, first_row, count);
    position += count;
  }
}

TEST_P(Exactness, E1EveryNodeOfATreeIsAsItsPathAlone) {
  for (int round = 0; round < 4; ++round) {
    const int prefix = random(1, 60);
    const std::vector<int32_t> table = runner_->new_table(prefix + 16);
    runner_->run_chain(part(0, prefix), 0, table);

    const int nodes = random(2, 16);
    const std::vector<Token> drafted = random_tokens(nodes, 320, static_cast<uint64_t>(round));
    std::vector<int32_t> parents;
    for (int node = 0; node < nodes; ++node) parents.push_back(random(-1, node - 1));
    Batch batch;
    runner_->add_tree(batch, drafted, parents, prefix, table);
    const std::vector<LogitRow> rows = runner_->run(batch);

    for (int node = 0; node < nodes; ++node) {
      std::vector<Token> path;
      for (int ancestor = node; ancestor >= 0; ancestor = parents[ancestor])
        path.push_back(drafted[ancestor]);
      path.insert(path.end(), tokens_.rend() - prefix, tokens_.rend());
      std::ranges::reverse(path);
      ASSERT_TRUE(same_bits(rows[node], runner_->run_text(path).back()))
          << "node " << node << " of " << nodes;
    }
  }
}

TEST_P(Exactness, E2AnyNumberOfThreads) {
  for (int threads = 1; threads <= 4; ++threads) {
    ModelRunner other(path_, options(threads));
    expect_reference(other.run_text(tokens_), 0);
  }
}

TEST_P(Exactness, E3SharedPrefixBlocks) {
  const std::vector<int32_t> first = runner_->new_table(kLength);
  runner_->run_chain(tokens_, 0, first);
  // Another sequence reads the two full blocks of the first, and computes the rest for itself.
  std::vector<int32_t> second(first.begin(), first.begin() + 2);
  for (const int32_t block : runner_->new_table(kBlockTokens)) second.push_back(block);
  const int shared = 2 * kBlockTokens;
  expect_reference(runner_->run_chain(part(shared, kLength - shared), shared, second), shared);
}

TEST_P(Exactness, E3RecomputedAfterPreemption) {
  // The blocks were lost in mid-text: what was there is computed again, elsewhere, in other chunks.
  const std::vector<int32_t> lost = runner_->new_table(kLength);
  runner_->run_chain(part(0, 50), 0, lost);
  const std::vector<int32_t> table = runner_->new_table(kLength);
  expect_reference(runner_->run_chain(part(0, 37), 0, table), 0);
  expect_reference(runner_->run_chain(part(37, kLength - 37), 37, table), 37);
}

TEST_P(Exactness, E3AnAcceptedPathMovedIntoPlace) {
  // A tree whose second branch is the true text: its keys move to where the sequence wants them.
  const int prefix = 30, depth = 6;
  const std::vector<int32_t> table = runner_->new_table(kLength);
  runner_->run_chain(part(0, prefix), 0, table);
  std::vector<Token> nodes = random_tokens(depth, 320, 77);
  std::vector<int32_t> parents = {-1, 0, 1, 2, 3, 4};
  for (int i = 0; i < depth; ++i) {
    nodes.push_back(tokens_[prefix + i]);
    parents.push_back(i == 0 ? -1 : depth + i - 1);
  }
  Batch batch;
  runner_->add_tree(batch, nodes, parents, prefix, table);
  expect_reference(runner_->run(batch), prefix, depth, depth);

  const auto slot = [&](int position) {
    return table[position / kBlockTokens] * kBlockTokens + position % kBlockTokens;
  };
  std::vector<int32_t> from, to;
  for (int i = 0; i < depth; ++i) {
    from.push_back(slot(prefix + depth + i));
    to.push_back(slot(prefix + i));
  }
  runner_->model().backend().copy_kv(runner_->kv(), from, to);
  std::vector<int32_t> path(static_cast<size_t>(depth));
  std::iota(path.begin(), path.end(), depth);
  runner_->keep_path(path, prefix, table);
  expect_reference(runner_->run_chain(part(prefix + depth, 40), prefix + depth, table),
                   prefix + depth);
}

TEST_P(Exactness, E5EveryRun) {
  expect_reference(runner_->run_text(tokens_), 0);
  expect_reference(runner_->run_text(tokens_), 0);
  ModelRunner loaded_again(path_, options(2));
  expect_reference(loaded_again.run_text(tokens_), 0);
}

// Where weights lie is nobody's business.
TEST_P(Exactness, E5WeightsOnTheDisk) {
  if (on_reference_backend()) GTEST_SKIP() << "its weights lie in memory";
  ModelRunner on_disk(
      path_, {.kv = GetParam().kv, .backend = open_cpu(2, folder_.path().string()).backend});
  expect_reference(on_disk.run_text(tokens_), 0);
}

std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const char* architecture :
       {"llama",    "qwen2",          "qwen2moe",  "qwen3",         "qwen3moe",   "gpt-oss",
        "glm4moe",  "deepseek2",      "qwen35",    "qwen35moe",     "qwen3next",  "lfm2",
        "lfm2moe",  "nemotron_h_moe", "falcon-h1", "granitehybrid", "nemotron_h", "gemma2",
        "gemma3",   "phi3",           "smollm3",   "olmo2",         "granite",    "exaone4",
        "mistral3", "gpt2",           "gptneox",   "cohere2",       "bloom",      "gemma4",
        "olmoe",    "minimax-m2",     "mamba2",    "llama4"}) {
    all.push_back({architecture, "Q4_0", KvFormat::kF16});
  }
  // What attention does differently meets the other format of keys and values, too.
  for (const char* architecture :
       {"llama", "qwen3", "gpt-oss", "deepseek2", "gemma3", "bloom", "llama4"})
    all.push_back({architecture, "Q4_0", KvFormat::kQ8_0});
  all.push_back({"gemma4", "Q4_0", KvFormat::kQ8_0});
  for (const KvFormat kv : {KvFormat::kF16, KvFormat::kQ8_0})
    all.push_back({"deepseek2", "Q4_0", kv, false, 0, "glm47flash"});
  for (const KvFormat kv : {KvFormat::kF16, KvFormat::kQ8_0}) {
    all.push_back({"gemma4", "Q4_0", kv, false, 6});
    for (const char* format :
         {"F32", "F16", "BF16", "Q5_1", "Q8_0", "Q4_K", "Q6_K", "IQ4_NL", "MXFP4"}) {
      all.push_back({"llama", format, kv});
    }
    all.push_back({"llama", "Q4_0", kv, true});
    all.push_back({"gemma3", "Q4_0", kv, true});
    all.push_back({"smollm2", "Q4_1", kv});  // the real one
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Model, Exactness, ::testing::ValuesIn(subjects()),
                         [](const auto& instance) {
                           std::string name =
                               instance.param.architecture + "_" + instance.param.format +
                               (instance.param.uneven ? "_uneven" : "") +
                               (instance.param.experts > 0 ? "_experts" : "") +
                               (instance.param.like.empty() ? "" : "_" + instance.param.like) +
                               (instance.param.kv == KvFormat::kF16 ? "_kv_f16" : "_kv_q8_0");
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera
