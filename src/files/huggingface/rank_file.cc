#include "files/huggingface/rank_file.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/byte_alphabet.h"
#include "files/huggingface/base64.h"
#include "files/huggingface/config_reader.h"
#include "files/huggingface/json_file.h"

namespace tessera::huggingface {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostRankFileBytes = size_t{64} << 20;
// Of an entry. Joining its bytes takes their square.
constexpr size_t kMostEntryBytes = 256;

// Kimi's expression, written so that no state is kept for each letter: ideographs; words of
// capitals and then at least one other letter, or up to the last letter that has no case; capitals
// alone; numbers, signs and spaces as in GPT-4o's.
#define NO_CASE R"([\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
constexpr std::string_view kKimiWords =
    R"([\p{Han}]+)"
    R"(|[^\r\n\p{L}\p{N}]?(?:(?:[\p{Lu}\p{Lt}]|)" NO_CASE R"()*+(?:\p{Ll}|)" NO_CASE
    ")++"
    R"(|(?:[\p{Lu}\p{Lt}]*+)" NO_CASE ")++)" CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]++)" CONTRACTION
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
#undef NO_CASE
#undef CONTRACTION

using Ranks = std::unordered_map<std::string_view, uint32_t>;
constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

// Where the second of the two parts begins that entry number `rank` is made of; 0 if its bytes do
// not come down to two.
size_t find_cut(std::string_view entry, uint32_t rank, const Ranks& ranks) {
  struct Part {
    size_t begin;
    uint32_t joint;  // rank of what this part and the next one are together
  };
  std::vector<Part> parts;
  const auto rank_of = [&](size_t begin, size_t end) {
    const auto found = ranks.find(entry.substr(begin, end - begin));
    return found == ranks.end() ? kNoRank : found->second;
  };
  for (size_t i = 0; i < entry.size(); ++i)
    parts.push_back({i, i + 2 <= entry.size() ? rank_of(i, i + 2) : kNoRank});
  const auto end_of = [&](size_t part) {
    return part + 1 < parts.size() ? parts[part + 1].begin : entry.size();
  };
  while (parts.size() > 2) {
    const auto best = std::ranges::min_element(parts, {}, &Part::joint);
    if (best->joint >= rank) return 0;
    const auto place = static_cast<size_t>(best - parts.begin());
    parts.erase(best + 1);
    const auto update = [&](size_t part) {
      parts[part].joint =
          part + 1 < parts.size() ? rank_of(parts[part].begin, end_of(part + 1)) : kNoRank;
    };
    update(place);
    if (place > 0) update(place - 1);
  }
  return parts.back().begin;
}

// The bytes of all entries by their ranks.
std::vector<std::string> read_entries(std::string_view text) {
  std::vector<std::string> entries;
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (content.ends_with('\r')) content.remove_suffix(1);
    if (content.empty()) continue;
    const size_t space = std::min(content.find(' '), content.size());
    auto bytes = decode_base64(content.substr(0, space));
    const std::string_view number = content.substr(std::min(space + 1, content.size()));
    size_t rank = 0;
    const auto [stop, problem] =
        std::from_chars(number.data(), number.data() + number.size(), rank);
    const bool is_number = problem == std::errc() && stop == number.data() + number.size();
    if (!bytes || bytes->empty() || !is_number)
      fail("line {}: expected bytes in base64 and a rank, found '{}'", line,
           printable(content, 40));
    if (bytes->size() > kMostEntryBytes)
      fail("line {}: an entry of {} bytes, at most {} expected", line, bytes->size(),
           kMostEntryBytes);
    if (rank != entries.size())
      fail("line {}: the rank {}, expected {}", line, rank, entries.size());
    entries.push_back(*std::move(bytes));
  }
  if (entries.empty()) fail("there is no entry");
  return entries;
}

// Whose code cuts the texts: "tokenization_kimi".
std::string name_of_code(const fs::path& folder) {
  const auto config = find_json(folder / "tokenizer_config.json");
  const nlohmann::json* map = config ? ConfigReader(*config).object("auto_map") : nullptr;
  const nlohmann::json* name = map == nullptr ? nullptr : ConfigReader(*map).find("AutoTokenizer");
  if (name != nullptr && name->is_array() && !name->empty()) name = &name->front();
  if (name == nullptr || !name->is_string()) return "";
  const auto text = name->get<std::string>();
  return text.substr(0, text.find('.'));
}

}  // namespace

TokenizerFile read_rank_file(std::string_view text) {
  const std::vector<std::string> entries = read_entries(text);
  Ranks ranks;
  for (const std::string& entry : entries)
    ranks.emplace(entry, static_cast<uint32_t>(ranks.size()));
  TokenizerFile file;
  file.data.kind = TokenizerKind::kBytePair;
  file.data.merges.emplace();
  file.vocabulary.expect(entries.size());
  for (uint32_t rank = 0; rank < entries.size(); ++rank) {
    const std::string_view entry = entries[rank];
    file.vocabulary.add(rank, to_alphabet(entry));
    if (entry.size() == 1) continue;
    if (const size_t cut = find_cut(entry, rank, ranks); cut > 0) {
      file.data.merges->push_back(to_alphabet(entry.substr(0, cut)) + ' ' +
                                  to_alphabet(entry.substr(cut)));
    }
  }
  file.data.vocabulary.pre_tokenizer = "kimi-k2";
  TextPipeline& pipeline = file.data.pipeline.emplace();
  pipeline.words = {{.pattern = {std::string(kKimiWords), true}},
                    {.kind = WordStep::Kind::kToAlphabet}};
  pipeline.ignores_merges = true;
  pipeline.is_named = true;
  return file;
}

std::optional<TokenizerFile> find_rank_file(const fs::path& folder) {
  const fs::path path = folder / "tiktoken.model";
  if (std::error_code ignored; !fs::exists(path, ignored)) return std::nullopt;
  if (const std::string code = name_of_code(folder); code != "tokenization_kimi") {
    fail(
        "'{}': how '{}' cuts texts is not known, only tokenization_kimi's way; a tokenizer.json "
        "would do",
        shown(path), printable(code));
  }
  const std::string text = read_text(path, kMostRankFileBytes);
  return in_file(path, [&] { return read_rank_file(text); });
}

}  // namespace tessera::huggingface
