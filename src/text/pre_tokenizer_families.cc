// Which expressions each family of byte-level BPE vocabularies was trained with. The names are
// those that llama.cpp's converter writes to tokenizer.ggml.pre. The expressions come from the
// models' tokenizer.json, with llama.cpp's changes where ids would differ otherwise: GGUF models
// are used, and compared, with its ids.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/printable.h"
#include "text/pre_tokenizer.h"

namespace tessera {
namespace {

// Contractions of either case; not (?i:...), which would also match U+017F, the long s.
#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES "%W*[\r\n]+|%W+(?!%w)|%W+"

constexpr std::string_view kGpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?%L+| ?%N+| ?[^%W%L%N]+|%W+(?!%w)|%W+";

constexpr SplitStep kGpt2Steps[] = {{kGpt2}};
constexpr SplitStep kSingleDigitGpt2Steps[] = {{"%N"}, {kGpt2}};
constexpr SplitStep kDefaultSteps[] = {{"[%P$+<=>^~|]+"}, {kGpt2}, {"%N+"}, {"[0-9][0-9][0-9]"}};
constexpr SplitStep kFalconSteps[] = {{"[%P$+<=>^~|`]+"}, {kGpt2}, {"[0-9][0-9][0-9]"}};
constexpr SplitStep kLlama3Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N{1,3}| ?[^%W%L%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kQwen2Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N| ?[^%W%L%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kMiniCpm5Steps[] = {
    {"%N{1,3}"}, {CONTRACTION "|[^\r\n%L%N]?%L+|%N+| ?[^%W%L%N]+[\r\n]*|" SPACES}};
// Qwen2's without contractions: a Turkish suffix stays with its apostrophe.
constexpr SplitStep kUfakZekaSteps[] = {{"[^\r\n%L%N]?%L+|%N| ?[^%W%L%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kQwen35Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?[%L%M]+|%N| ?[^%W%L%M%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kSeedCoderSteps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N| ?[^%W%L%N\r\n]+|" SPACES}};
constexpr SplitStep kLagunaSteps[] = {
    {"\n+"}, {CONTRACTION "|[^\r\n%L%N]?%L+|%N| ?[^%W%L%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kBailingSteps[] = {
    {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n%L%N]?%L+|%N| ?[^%W%L%N]+[\r\n]*"
     "|%W*[\r\n]|%W+(?!%w)|%W+"}};
constexpr SplitStep kJais2Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N{1,3}| ?[^%W%L%N]+[\r\n]*|%W*[\r\n]+"
                 "|%W{512}(?!%w)|%W{256}(?!%w)|%W{128}(?!%w)|%W{64}(?!%w)|%W{32}(?!%w)|%W{16}(?!%w)"
                 "|%W{8}(?!%w)|%W{4}(?!%w)|%W{1,2}(?!%w)|%W"}};
// A word may go on over single spaces. The possessive loop keeps no state for each letter.
constexpr SplitStep kExaoneMoeSteps[] = {{CONTRACTION
                                          "|[^\r\n%L%N]?%L(?:[%L%M]| %L)*+|%N| ?[^%W%L%N]+[\r\n/]?"
                                          "|%W*[\r\n]|%W+(?!%w)|%W+"}};

// Words cut where the case changes. llama.cpp tells case in ASCII only (a letter of another script
// counts as either) and lets marks end a word. tokenizer.json writes U*L+|U+L* for upper and lower;
// with letters that are both this backtracks through the word, and PCRE2 would keep a state for
// each letter. The same without: capitals and then at least one small letter; else up to the last
// letter that is both; else capitals only.
#define CASED_WORD                                    \
  "[^\r\n%L%N]?(?:(?:(?![a-z])%L)*+(?:(?![A-Z])%L)++" \
  "|(?:[A-Z]*+(?![A-Za-z])%L)++"                      \
  "|[A-Z]++)"
constexpr SplitStep kTekkenSteps[] = {{CASED_WORD "|%N| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
constexpr SplitStep kGpt4oSteps[] = {
    {CASED_WORD CONTRACTION "?|%N{1,3}| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
#undef CASED_WORD
// The same where marks count as letters of either case. One may stand before a word as well, so
// words without a small letter come last for both.
constexpr SplitStep kGraniteEmbeddingSteps[] = {
    {"[^\r\n%L%N]?(?:(?:(?![a-z])[%L%M])*+(?:(?![A-Z])[%L%M])++"
     "|(?:[A-Z]*+(?![A-Za-z])[%L%M])++)" CONTRACTION "?|[^\r\n%L%N]?[A-Z]++" CONTRACTION
     "?|%N{1,3}| ?[^%W%L%N]+[\r\n/]*|" SPACES}};

// Where tokenizer.json names the case of letters by category, llama.cpp tells none: words of
// letters and marks.
#define WORD "[^\r\n%L%N]?[%L%M]+" CONTRACTION "?"
constexpr SplitStep kTinyAyaSteps[] = {{"%N+", true},
                                       {WORD "|%N{1,3}| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
constexpr SplitStep kYoutuSteps[] = {
    {"[\uAC00-\uD7A3\u3131-\u318E]+"
     "|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+"
     "|[\u3105-\u312F]+|[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"},
    {WORD "|%N| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
#undef WORD

// Ideographs are words of their own; other words take contractions along, and no marks.
#define HAN                                                                           \
  "\u4E00-\u9FFF\u3400-\u4DBF\U00020000-\U0002A6DF\U0002A700-\U0002EBEF\uF900-\uFAFF" \
  "\U0002F800-\U0002FA1F"
constexpr SplitStep kKimiK2Steps[] = {{"[" HAN "]+|[^\r\n%L%N]?(?:(?![" HAN "])%L)++" CONTRACTION
                                       "?|%N{1,3}| ?[^%W%L%N]+[\r\n]*|" SPACES}};
#undef HAN

#define DEEPSEEK_WORDS \
  "[!\"#$\\%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n%L%P%S]?[%L%M]+| ?[%P%S]+"
constexpr std::string_view kDeepSeek3Words = DEEPSEEK_WORDS "[\r\n]*|" SPACES;
constexpr SplitStep kDeepSeek3Steps[] = {
    {"%N{1,3}"}, {"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"}, {kDeepSeek3Words}};
constexpr SplitStep kSparkSteps[] = {{"%N"},
                                     {"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"},
                                     {DEEPSEEK_WORDS "|[\r\n]|%W+(?!%w)|%W+"}};
#undef DEEPSEEK_WORDS
// llama.cpp glues characters that no step matches to the digits behind them; tokenizer.json does
// not.
constexpr SplitStep kAfmoeSteps[] = {
    {"%N+", true},
    {"[\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\u3040-\u309F\u30A0-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF"
     "\u0E00-\u0E7F\u0E80-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF"
     "\u1100-\u11FF]+"},
    {kDeepSeek3Words}};
// U+0800 to U+9FA5 and Hangul, but no white space (llama.cpp hides it from such expressions).
constexpr std::string_view kDeepSeekIdeographs =
    "[\u0800-\u167F\u1681-\u1FFF\u200B-\u2027\u202A-\u202E\u2030-\u205E\u2060-\u2FFF\u3001-\u9FA5"
    "\uAC00-\uD7FF]+";
constexpr SplitStep kDeepSeekCoderSteps[] = {
    {"[\r\n]"}, {"%W?%L+"}, {"%W?%P+"}, {kDeepSeekIdeographs}, {"%N"}};
// The cased letters of the scripts that have case, as tokenizer.json lists them.
constexpr SplitStep kDeepSeekSteps[] = {
    {"[\r\n]"},
    {"%W?["
     "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293"
     "\u0295-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C"
     "\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5"
     "\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77"
     "\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59"
     "\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"
     "\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107"
     "\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139"
     "\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE"
     "\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E"
     "\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A"
     "\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2"
     "\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-\U0001E943"
     "]+"},
    // U+3000 is in the published class; in llama.cpp it is white space only.
    {"%W?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001-\u3002]+"},
    {"%W+$"},
    {kDeepSeekIdeographs},
    {"%N+"}};
constexpr std::string_view kBloom = " ?[^(%W|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+";
constexpr SplitStep kBloomSteps[] = {{kBloom}};
constexpr SplitStep kVikingSteps[] = {{kBloom}, {"%N"}};
constexpr SplitStep kSuperBpeSteps[] = {{"%N+"}, {"\\p{Nd}+", true}};
constexpr SplitStep kChameleonSteps[] = {{"<sentinel:[0-9]+>"},  {"(?:IMGIMG)[A-I]{1,4}Z"},
                                         {"[\t\n]|    |  "},     {"%N"},
                                         {"[%P!-/:-@\\[-`{-~]"}, {kGpt2}};

// Of vocabularies of characters, for splits alone: pair_characters() cuts the texts.
constexpr SplitStep kLineSteps[] = {{"\n+"}};
constexpr SplitStep kSpaceSteps[] = {{"%W+"}};
constexpr CharacterPairs kLines = {.joins_newlines = false};
constexpr CharacterPairs kBetweenSpaces = {.marks_spaces = false, .joins_newlines = false};

struct NamedFamily {
  std::string_view name;
  PreTokenizerFamily family;
};

constexpr auto kFamilies = std::to_array<NamedFamily>({
    {"a.x-4.0", {kGpt2Steps}},
    {"afmoe", {kAfmoeSteps}},
    {"bailingmoe", {kBailingSteps}},
    {"bailingmoe2", {kBailingSteps}},
    {"bloom", {kBloomSteps}},
    {"chameleon", {kChameleonSteps, false, true}},
    {"chatglm-bpe", {kLlama3Steps}},
    {"codeshell", {kSingleDigitGpt2Steps}},
    {"cohere2moe", {kTinyAyaSteps}},
    {"command-r", {kSingleDigitGpt2Steps}},
    {"dbrx", {kLlama3Steps}},
    {"deepseek-coder", {kDeepSeekCoderSteps}},
    {"deepseek-llm", {kDeepSeekSteps}},
    {"deepseek-r1-qwen", {kQwen2Steps}},
    {"deepseek-v3", {kDeepSeek3Steps}},
    {"default", {kDefaultSteps}},
    {"exaone", {kSingleDigitGpt2Steps}},
    {"exaone-moe", {kExaoneMoeSteps}},
    {"exaone4", {kGpt2Steps}},
    {"f2llmv2", {kQwen2Steps}},
    {"falcon", {kFalconSteps}},
    {"falcon-h1", {kLlama3Steps, true, true}},
    {"falcon3", {kLlama3Steps, true, true}},
    {"gemma4", {kLineSteps, false, false, CharacterPairs()}},
    {"gigachat", {kGpt2Steps}},
    {"glm4", {kLlama3Steps, true}},
    {"glm5", {kLlama3Steps, true}},
    {"gpt-2", {kGpt2Steps}},
    {"gpt-4o", {kGpt4oSteps}},
    {"gpt3-finnish", {kBloomSteps}},
    {"granite-docling", {kGpt2Steps}},
    {"granite-embed-multi-311m", {kLineSteps, false, false, CharacterPairs()}},
    {"granite-embed-multi-97m", {kGraniteEmbeddingSteps, true}},
    {"grok-2", {kQwen2Steps}},
    {"hunyuan", {kQwen2Steps}},
    {"hunyuan-dense", {kDeepSeek3Steps}},
    {"hy_v4", {kDeepSeek3Steps}},
    {"jais", {kGpt2Steps}},
    {"jais-2", {kJais2Steps}},
    {"jina-de", {kGpt2Steps}},
    {"jina-es", {kGpt2Steps}},
    {"jina-v1-en", {kGpt2Steps}},
    {"jina-v2-code", {kGpt2Steps}},
    {"jina-v2-de", {kGpt2Steps}},
    {"jina-v2-es", {kGpt2Steps}},
    {"jina-v5-nano", {kLlama3Steps, true, true}},
    {"joyai-llm", {kDeepSeek3Steps}},
    {"kanana2", {kGpt4oSteps}},
    {"kimi-k2", {kKimiK2Steps}},
    {"kormo", {kQwen2Steps}},
    {"laguna", {kLagunaSteps}},
    {"lfm2", {kLlama3Steps, true, true}},
    {"llada-moe", {kBailingSteps}},
    {"llama-bpe", {kLlama3Steps, true, true}},
    {"llama-v3", {kLlama3Steps, true, true}},
    {"llama3", {kLlama3Steps, true, true}},
    {"llama4", {kGpt4oSteps}},
    {"megrez", {kQwen2Steps}},
    {"mellum", {kGpt2Steps}},
    {"mellum2", {kSingleDigitGpt2Steps}},
    {"midm-2.0", {kLlama3Steps, true, true}},
    {"minerva-7b", {kSingleDigitGpt2Steps}},
    {"minicpm5", {kMiniCpm5Steps, true}},
    {"minimax-m2", {kGpt4oSteps}},
    {"modern-bert", {kGpt2Steps}},
    {"mpt", {kGpt2Steps}},
    {"olmo", {kGpt2Steps}},
    {"phi-2", {kGpt2Steps}},
    {"pixtral", {kLlama3Steps, true, true}},
    {"poro-chat", {kBloomSteps}},
    {"qwen2", {kQwen2Steps}},
    {"qwen35", {kQwen35Steps}},
    {"refact", {kSingleDigitGpt2Steps}},
    {"roberta-bpe", {kGpt2Steps}},
    {"sarvam-moe", {kLineSteps, false, false, kLines}},
    {"seed-coder", {kSeedCoderSteps}},
    {"smaug-bpe", {kLlama3Steps}},
    {"smollm", {kSingleDigitGpt2Steps}},
    {"solar-open", {kQwen2Steps}},
    {"spark2_5", {kSparkSteps}},
    {"stablelm2", {kQwen2Steps}},
    {"starcoder", {kSingleDigitGpt2Steps}},
    {"superbpe", {kSuperBpeSteps}},
    {"talkie", {kGpt4oSteps}},
    {"tekken", {kTekkenSteps, true, true}},
    {"tiny_aya", {kTinyAyaSteps}},
    {"trillion", {kGpt2Steps}},
    {"ufakzeka", {kUfakZekaSteps}},
    {"viking", {kVikingSteps}},
    {"whitespace", {kSpaceSteps, false, false, kBetweenSpaces}},
    {"youtu", {kYoutuSteps, true}},
});

}  // namespace

PreTokenizerFamily find_pre_tokenizer_family(std::string_view name) {
  if (name.empty()) {
    spdlog::warn(
        "the model does not name its pre-tokenizer; with 'default' its answers may be worse");
    name = "default";
  }
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const NamedFamily& family) { return family.name == name; });
  if (found == kFamilies.end())
    fail("tokenizer: unknown pre-tokenizer '{}'; --pre-tokenizer takes another for it",
         printable(name));
  return found->family;
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const NamedFamily& family : kFamilies) names.push_back(family.name);
  return names;
}

}  // namespace tessera
