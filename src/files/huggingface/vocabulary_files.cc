#include "files/huggingface/vocabulary_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"
#include "files/huggingface/pre_tokenizer_names.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMostBytes = size_t{64} << 20;

// A pair in each line; the first line may name the version of the format. A merge of "#" begins
// like a comment, and is none.
json read_merges(const fs::path& path) {
  const std::string text = read_text(path, kMostBytes);
  json merges = json::array();
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool is_version = begin == 0 && line.starts_with("#version");
    if (!line.empty() && !is_version) merges.push_back(std::string(line));
    begin = end + 1;
  }
  return merges;
}

json byte_level(bool prefix, bool cuts) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", cuts}};
}

// Qwen 2's cuts words as its expression says, and normalizes.
void describe_words(bool is_qwen2, bool prefix, json& to) {
  if (!is_qwen2) {
    to["pre_tokenizer"] = byte_level(prefix, true);
    return;
  }
  to["normalizer"] = {{"type", "NFC"}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", find_pre_tokenizer("qwen2").at(0)}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  to["pre_tokenizer"] = {{"type", "Sequence"},
                         {"pretokenizers", json::array({split, byte_level(false, false)})}};
}

// Whose way to cut words it is: by the tokenizer's class, else by the model's type.
bool is_qwen2(const fs::path& folder, const json* tokenizer_config) {
  constexpr auto kGpt2 = std::to_array<std::string_view>({"GPT2Tokenizer", "GPT2TokenizerFast"});
  constexpr auto kQwen2 = std::to_array<std::string_view>({"Qwen2Tokenizer", "Qwen2TokenizerFast"});
  const auto name = tokenizer_config == nullptr
                        ? std::nullopt
                        : ConfigReader(*tokenizer_config).text("tokenizer_class");
  if (!name) {
    const auto config = find_json(folder / "config.json");
    const auto type = config ? ConfigReader(*config).text("model_type") : std::nullopt;
    return type && (*type == "qwen2" || *type == "qwen3");
  }
  if (std::ranges::find(kQwen2, *name) != kQwen2.end()) return true;
  if (std::ranges::find(kGpt2, *name) != kGpt2.end()) return false;
  fail(
      "'{}': key 'tokenizer_class': a '{}' of vocab.json is not supported, GPT2Tokenizer and "
      "Qwen2Tokenizer are; a tokenizer.json would do",
      shown(folder / "tokenizer_config.json"), printable(*name));
}

// {"<|user|>": 32000, ...}, in the order of the ids.
json read_added_tokens(const fs::path& path) {
  json tokens = json::array();
  const auto added = find_json(path);
  if (!added) return tokens;
  std::multimap<uint64_t, std::string> by_id;
  for (const auto& [text, id] : added->items()) {
    if (!id.is_number_unsigned()) fail("'{}': '{}' has no id", shown(path), printable(text));
    by_id.emplace(id.get<uint64_t>(), text);
  }
  for (const auto& [id, text] : by_id) tokens.push_back({{"content", text}, {"id", id}});
  return tokens;
}

}  // namespace

std::optional<json> find_vocabulary_files(const fs::path& folder) {
  auto vocabulary = find_json(folder / "vocab.json");
  if (!vocabulary) return std::nullopt;
  const fs::path merges = folder / "merges.txt";
  if (std::error_code ignored; !fs::exists(merges, ignored))
    fail("'{}' is missing: vocab.json alone is no tokenizer", shown(merges));
  const auto config = find_json(folder / "tokenizer_config.json");
  const bool qwen2 = is_qwen2(folder, config ? &*config : nullptr);
  const bool prefix = config && ConfigReader(*config).boolean("add_prefix_space").value_or(false);
  json result = {{"model", {{"type", "BPE"}, {"vocab", *std::move(vocabulary)}}},
                 {"decoder", byte_level(true, true)},
                 {"added_tokens", read_added_tokens(folder / "added_tokens.json")}};
  result["model"]["merges"] = read_merges(merges);
  describe_words(qwen2, prefix, result);
  return result;
}

}  // namespace tessera::huggingface
