// Which expressions each family of byte-level BPE vocabularies was trained with. The names are
// those that llama.cpp's converter writes to tokenizer.ggml.pre. The expressions come from the
// models' tokenizer.json, with llama.cpp's changes where ids would differ otherwise: GGUF models
// are used, and compared, with its ids.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "base/error.h"
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
constexpr SplitStep kQwen35Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?[%L%M]+|%N| ?[^%W%L%M%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kMiniCpm5Steps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N+| ?[^%W%L%N]+[\r\n]*|" SPACES}};
constexpr SplitStep kSeedCoderSteps[] = {
    {CONTRACTION "|[^\r\n%L%N]?%L+|%N| ?[^%W%L%N\r\n]+|" SPACES}};
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

// Words cut where the case changes. llama.cpp tells case in ASCII only: a letter of another script
// counts as either, and marks end a word. [^\P{L}a-z] reads: a letter, but none of a to z.
#define NOT_LOWER "[^\\P{L}a-z]"
#define NOT_UPPER "[^\\P{L}A-Z]"
constexpr SplitStep kTekkenSteps[] = {{"[^\r\n%L%N]?" NOT_LOWER "*" NOT_UPPER
                                       "+|[^\r\n%L%N]?" NOT_LOWER "+" NOT_UPPER "*"
                                       "|%N| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
constexpr SplitStep kGpt4oSteps[] = {{"[^\r\n%L%N]?" NOT_LOWER "*" NOT_UPPER "+" CONTRACTION
                                      "?|[^\r\n%L%N]?" NOT_LOWER "+" NOT_UPPER "*" CONTRACTION
                                      "?|%N{1,3}| ?[^%W%L%N]+[\r\n/]*|" SPACES}};
#undef NOT_LOWER
#undef NOT_UPPER

constexpr std::string_view kDeepSeek3Words =
    "[!\"#$\\%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n%L%P%S]?[%L%M]+| "
    "?[%P%S]+[\r\n]*|" SPACES;
constexpr SplitStep kDeepSeek3Steps[] = {
    {"%N{1,3}"}, {"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"}, {kDeepSeek3Words}};
constexpr SplitStep kAfmoeSteps[] = {
    {""},
    {"[\u4E00-\u9FFF\u3400-\u4DBF\uF900-\uFAFF\u3040-\u309F\u30A0-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF"
     "\u0E00-\u0E7F\u0E80-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\uAC00-\uD7AF"
     "\u1100-\u11FF]+"},
    {kDeepSeek3Words}};
constexpr SplitStep kDeepSeekCoderSteps[] = {
    {"[\r\n]"}, {"%W?%L+"}, {"%W?%P+"}, {"[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"}, {"%N"}};
// The cased letters of the scripts that have case, as tokenizer.json lists them.
constexpr SplitStep kDeepSeekSteps[] = {
    {"[\r\n]"},
    {"%W?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-"
     "ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅ"
     "ὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-"
     "ꞎ"
     "ꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
     "+"},
    // U+3000 is in the published class; in llama.cpp it is white space only.
    {"%W?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001-\u3002]+"},
    {"%W+$"},
    {"[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"},
    {"%N+"}};
constexpr std::string_view kBloom = " ?[^(%W|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+";
constexpr SplitStep kBloomSteps[] = {{kBloom}};
constexpr SplitStep kVikingSteps[] = {{kBloom}, {"%N"}};
constexpr SplitStep kSuperBpeSteps[] = {{"%N+"}, {""}};
constexpr SplitStep kChameleonSteps[] = {{"<sentinel:[0-9]+>"},  {"(?:IMGIMG)[A-I]{1,4}Z"},
                                         {"[\t\n]|    |  "},     {"%N"},
                                         {"[%P!-/:-@\\[-`{-~]"}, {kGpt2}};

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
    {"gigachat", {kGpt2Steps}},
    {"glm4", {kLlama3Steps}},
    {"gpt-2", {kGpt2Steps}},
    {"gpt-4o", {kGpt4oSteps}},
    {"gpt3-finnish", {kBloomSteps}},
    {"granite-docling", {kGpt2Steps}},
    {"grok-2", {kQwen2Steps}},
    {"hunyuan", {kQwen2Steps}},
    {"hunyuan-dense", {kDeepSeek3Steps}},
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
    {"kormo", {kQwen2Steps}},
    {"lfm2", {kLlama3Steps, true, true}},
    {"llada-moe", {kBailingSteps}},
    {"llama-bpe", {kLlama3Steps, true, true}},
    {"llama-v3", {kLlama3Steps, true, true}},
    {"llama3", {kLlama3Steps, true, true}},
    {"llama4", {kGpt4oSteps}},
    {"megrez", {kQwen2Steps}},
    {"mellum", {kGpt2Steps}},
    {"midm-2.0", {kLlama3Steps, true, true}},
    {"minerva-7b", {kSingleDigitGpt2Steps}},
    {"minicpm5", {kMiniCpm5Steps}},
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
    {"seed-coder", {kSeedCoderSteps}},
    {"smaug-bpe", {kLlama3Steps}},
    {"smollm", {kSingleDigitGpt2Steps}},
    {"solar-open", {kQwen2Steps}},
    {"stablelm2", {kQwen2Steps}},
    {"starcoder", {kSingleDigitGpt2Steps}},
    {"superbpe", {kSuperBpeSteps}},
    {"tekken", {kTekkenSteps, true, true}},
    {"trillion", {kGpt2Steps}},
    {"viking", {kVikingSteps}},
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
  if (found == kFamilies.end()) fail("key 'tokenizer.ggml.pre': unknown pre-tokenizer '{}'", name);
  return found->family;
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const NamedFamily& family : kFamilies) names.push_back(family.name);
  return names;
}

}  // namespace tessera
