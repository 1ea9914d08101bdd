// Runs a model for tests: its keys and values lie in blocks in a random order, as in a busy server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "model/model.h"

namespace tessera {

using LogitRow = std::vector<float>;
std::vector<LogitRow> copy_rows(HostRows x);

class ModelRunner {
 public:
  struct Options {
    int threads = 2;
    KvFormat kv = KvFormat::kF16;
    int context = 0;
    int blocks = 160;                            // of the KV store
    std::shared_ptr<Backend> backend = nullptr;  // nullptr: the one that tests run on
  };
  explicit ModelRunner(const std::filesystem::path& path) : ModelRunner(path, Options()) {}
  ModelRunner(const std::filesystem::path& path, const Options& options);
  ModelRunner(std::shared_ptr<const Checkpoint> checkpoint, const Options& options);

  // A block table for `tokens` tokens, of blocks that no other table has. Throws if none are left.
  std::vector<int32_t> new_table(int tokens);
  // Runs the batch and returns a row of logits for each of its rows.
  std::vector<LogitRow> run(Batch& batch);
  // Runs `tokens` after `prefix` computed ones as one chunk.
  std::vector<LogitRow> run_chain(std::span<const Token> tokens, int prefix,
                                  std::span<const int32_t> table);
  // The whole text in one chunk, alone, with a fresh table.
  std::vector<LogitRow> run_text(std::span<const Token> tokens);

  Model& model() { return *model_; }
  KvStore& kv() { return *kv_; }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<KvStore> kv_;
  std::vector<int32_t> free_blocks_;
};

// `count` random tokens of the tiny vocabulary.
std::vector<Token> random_tokens(int count, int vocabulary, uint64_t seed);

}  // namespace tessera
