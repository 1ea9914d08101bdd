#include "files/huggingface/tokenizer.h"

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/rank_file.h"
#include "files/huggingface/sentencepiece_model.h"
#include "files/huggingface/sentencepiece_tokenizer.h"
#include "files/huggingface/special_tokens.h"
#include "files/huggingface/tokenizer_json.h"
#include "files/huggingface/vocabulary_files.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostModelBytes = size_t{64} << 20;

TokenizerFile read_file(const fs::path& folder) {
  const fs::path json_path = folder / "tokenizer.json", model_path = folder / "tokenizer.model";
  if (const auto json = find_json(json_path))
    return in_file(json_path, [&] { return read_tokenizer_json(*json); });
  if (auto file = find_rank_file(folder)) return *std::move(file);
  std::error_code ignored;
  if (!fs::exists(model_path, ignored)) {
    if (const auto json = find_vocabulary_files(folder))
      return in_file(folder / "vocab.json", [&] { return read_tokenizer_json(*json); });
    fail(
        "'{}' has neither a tokenizer.json nor a tokenizer.model nor a tiktoken.model nor a "
        "vocab.json",
        printable(folder.string(), 400));
  }
  const std::string bytes = read_text(model_path, kMostModelBytes);
  const auto config = find_json(folder / "tokenizer_config.json");
  const bool is_legacy = !config || ConfigReader(*config).boolean("legacy").value_or(true);
  return in_file(model_path,
                 [&] { return make_tokenizer(parse_sentencepiece_model(bytes), is_legacy); });
}

}  // namespace

TokenizerData read_tokenizer(const fs::path& folder) {
  TokenizerFile file = read_file(folder);
  read_special_tokens(folder, file);
  file.vocabulary.finish(file.data, file.has_scores);
  return std::move(file.data);
}

}  // namespace tessera::huggingface
