// Runs a model for tests: its keys and values lie in blocks in a random order, as in a busy server.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <utility>
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
  // Adds rows that follow `prefix` tokens which were computed into the same table, or whose blocks
  // this table begins with. Recurrent layers go on from their state there.
  void add_chain(Batch& batch, std::span<const Token> tokens, int prefix,
                 std::span<const int32_t> table);
  void add_tree(Batch& batch, std::span<const Token> nodes, std::span<const int32_t> parents,
                int prefix, std::span<const int32_t> table);
  // Of the tree that the last batch began with, these nodes turned out to be the text.
  void keep_path(std::span<const int32_t> nodes, int prefix, std::span<const int32_t> table);
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
  int32_t state_at(int position, std::span<const int32_t> table) const;
  std::vector<StateSave> new_states(int prefix, int rows, std::span<const int32_t> table);

  std::vector<int32_t> free_blocks_;
  // Of recurrent layers, by the first block of a text and a position in it: at the ends of blocks
  // and of steps.
  std::map<std::pair<int32_t, int>, int32_t> states_;
};

// `count` random tokens of the tiny vocabulary.
std::vector<Token> random_tokens(int count, int vocabulary, uint64_t seed);

}  // namespace tessera
