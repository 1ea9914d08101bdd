#include "files/huggingface/tokenizer.h"

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/special_tokens.h"
#include "files/huggingface/tokenizer_json.h"

namespace tessera::huggingface {
namespace {

TokenizerFile read_file(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  const auto json = find_json(path);
  if (!json) fail("'{}' has no tokenizer.json", printable(folder.string(), 400));
  try {
    return read_tokenizer_json(*json);
  } catch (const Error& error) {
    fail("'{}': {}", printable(path.string(), 400), error.what());
  }
}

}  // namespace

TokenizerData read_tokenizer(const std::filesystem::path& folder) {
  TokenizerFile file = read_file(folder);
  read_special_tokens(folder, file.around, file.vocabulary, file.data);
  file.vocabulary.finish(file.data, file.has_scores);
  return std::move(file.data);
}

}  // namespace tessera::huggingface
