#include "files/huggingface/pre_tokenizer_names.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <vector>

namespace tessera::huggingface {
namespace {

// The expressions of the families in text/pre_tokenizer_families.cc as their models' tokenizer.json
// has them.
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define SIGNS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define LOWER_WORD R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
#define UPPER_WORD R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kThreeDigits = R"([0-9][0-9][0-9])";
constexpr std::string_view kUpToThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kLlama3 = CONTRACTION "|" WORD R"(|\p{N}{1,3}|)" SIGNS "|" SPACES;
constexpr std::string_view kQwen2 = CONTRACTION "|" WORD R"(|\p{N}|)" SIGNS "|" SPACES;
constexpr std::string_view kQwen35 =
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" SPACES;
constexpr std::string_view kGpt4o = LOWER_WORD CONTRACTION
    "?|" UPPER_WORD CONTRACTION R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" SPACES;
constexpr std::string_view kTekken =
    LOWER_WORD "|" UPPER_WORD R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" SPACES;
constexpr std::string_view kDeepSeekIdeographs = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
constexpr std::string_view kDeepSeekWords =
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)re"
    R"( ?[\p{P}\p{S}]+[\r\n]*|)" SPACES;
constexpr std::string_view kDeepSeekCoderIdeographs = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
constexpr std::string_view kBloom = " ?[^(\\s|[.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C])]+";

constexpr std::string_view kKimiK2 =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)" CONTRACTION
    R"(?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)" CONTRACTION R"(?|\p{N}{1,3}|)" SIGNS "|" SPACES;

#undef CONTRACTION
#undef WORD
#undef SIGNS
#undef SPACES
#undef LOWER_WORD
#undef UPPER_WORD

struct PatternFamily {
  std::string_view name;
  std::optional<bool> ignores_merges;  // absent: either way
  std::array<std::string_view, 5> patterns;
};
// Those of fewer patterns end in "".
constexpr auto kFamilies = std::to_array<PatternFamily>({
    {"gpt-2", {}, {kGpt2}},
    {"smollm", {}, {kDigit, kGpt2}},
    {"llama-bpe", true, {kLlama3}},
    {"dbrx", false, {kLlama3}},
    {"qwen2", {}, {kQwen2}},
    {"qwen35", {}, {kQwen35}},
    {"gpt-4o", {}, {kGpt4o}},
    {"tekken", {}, {kTekken}},
    {"deepseek-v3", {}, {kUpToThreeDigits, kDeepSeekIdeographs, kDeepSeekWords}},
    {"deepseek-coder",
     {},
     {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekCoderIdeographs, kDigit}},
    {"bloom", {}, {kBloom}},
    {"kimi-k2", {}, {kKimiK2}},
});

// The expressions of all steps that cut, one after another. Some hold line breaks themselves,
// others their escapes.
std::vector<std::string> patterns_of(const TextPipeline& pipeline) {
  std::vector<std::string> patterns;
  for (const WordStep& step : pipeline.words) {
    if (step.kind != WordStep::Kind::kSplit) continue;
    std::string& pattern = patterns.emplace_back();
    for (const char c : step.pattern.text) {
      if (c == '\r' || c == '\n') {
        pattern += c == '\r' ? "\\r" : "\\n";
      } else {
        pattern += c;
      }
    }
  }
  return patterns;
}

const PatternFamily* find_family(const TextPipeline& pipeline) {
  const auto patterns = patterns_of(pipeline);
  for (const PatternFamily& family : kFamilies) {
    const auto end = std::find(family.patterns.begin(), family.patterns.end(), std::string_view());
    if (std::equal(patterns.begin(), patterns.end(), family.patterns.begin(), end) &&
        family.ignores_merges.value_or(pipeline.ignores_merges) == pipeline.ignores_merges)
      return &family;
  }
  return nullptr;
}

bool holds(const std::vector<std::string>& patterns, std::string_view text) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return pattern.find(text) != std::string_view::npos;
  });
}

}  // namespace

PreTokenizerName name_pre_tokenizer(TokenizerKind kind, const TextPipeline& pipeline) {
  if (kind != TokenizerKind::kBytePair) return {"default", true};
  if (const PatternFamily* family = find_family(pipeline)) return {std::string(family->name), true};
  const auto patterns = patterns_of(pipeline);
  const bool is_gpt2 = holds(patterns, kGpt2);
  if (holds(patterns, kThreeDigits) && is_gpt2) return {"falcon"};
  if (holds(patterns, R"([\p{Lu}\p{Lt})")) return {holds(patterns, "{1,3}") ? "gpt-4o" : "tekken"};
  if (holds(patterns, "{1,3}")) return {pipeline.ignores_merges ? "llama-bpe" : "dbrx"};
  if (holds(patterns, "(?!\\S)") && !is_gpt2) return {"qwen2"};
  return {holds(patterns, kDigit) && patterns.size() > 1 ? "smollm" : "gpt-2"};
}

std::vector<std::string_view> find_pre_tokenizer(std::string_view name) {
  const auto family = std::ranges::find(kFamilies, name, &PatternFamily::name);
  std::vector<std::string_view> patterns;
  if (family == kFamilies.end()) return patterns;
  for (const std::string_view pattern : family->patterns) {
    if (!pattern.empty()) patterns.push_back(pattern);
  }
  return patterns;
}

bool ignores_merges(std::string_view name) {
  const auto family = std::ranges::find(kFamilies, name, &PatternFamily::name);
  return family != kFamilies.end() && family->ignores_merges == true;
}

}  // namespace tessera::huggingface
