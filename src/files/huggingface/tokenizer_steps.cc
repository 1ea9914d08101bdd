#include "files/huggingface/tokenizer_steps.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoint/bert_pipeline.h"
#include "files/huggingface/base64.h"
#include "files/huggingface/config_reader.h"

namespace tessera::huggingface {
namespace {

using nlohmann::json;
using Normal = NormalizerStep::Kind;
using Words = WordStep::Kind;

constexpr std::string_view kSpaceMark = "\u2581";
// A real tokenizer has at most a dozen.
constexpr size_t kMostSteps = 64;
constexpr size_t kMostContentBytes = 256;

// Digits and white space as Rust and its crates have them.
constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kWhiteSpace = R"(\s)";
constexpr const char* kWordsAndSigns =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+|[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+)";
// Its marks are those of Unicode 9.
constexpr const char* kMark =
    R"([\p{M}\u1CF2\u1CF3&&[^)"
    R"(\u07FD\u0897-\u089F\u08CA-\u08D3\u09FE\u0AFA-\u0AFF\u0B55\u0C04\u0C3C\u0CF3\u0D00)"
    R"(\u0D3B-\u0D3C\u0D81\u0EBA\u0ECE\u1715\u180F\u1ABF-\u1ACE\u1CF7\u1DF6-\u1DFA\uA82C)"
    R"(\uA8FF\x{10D24}-\x{10D27}\x{10D69}-\x{10D6D}\x{10EAB}-\x{10EAC}\x{10EFC}-\x{10EFF})"
    R"(\x{10F46}-\x{10F50}\x{10F82}-\x{10F85}\x{11070}\x{11073}-\x{11074}\x{110C2})"
    R"(\x{11145}-\x{11146}\x{111C9}\x{111CE}-\x{111CF}\x{11241}\x{1133B}\x{113B8}-\x{113C0})"
    R"(\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}-\x{113D0}\x{113D2}\x{113E1}-\x{113E2})"
    R"(\x{1145E}\x{1182C}-\x{1183A}\x{11930}-\x{11935}\x{11937}-\x{11938}\x{1193B}-\x{1193E})"
    R"(\x{11940}\x{11942}-\x{11943}\x{119D1}-\x{119D7}\x{119DA}-\x{119E0}\x{119E4})"
    R"(\x{11A01}-\x{11A0A}\x{11A33}-\x{11A39}\x{11A3B}-\x{11A3E}\x{11A47}\x{11A51}-\x{11A5B})"
    R"(\x{11A8A}-\x{11A99}\x{11D31}-\x{11D36}\x{11D3A}\x{11D3C}-\x{11D3D}\x{11D3F}-\x{11D45})"
    R"(\x{11D47}\x{11D8A}-\x{11D8E}\x{11D90}-\x{11D91}\x{11D93}-\x{11D97}\x{11EF3}-\x{11EF6})"
    R"(\x{11F00}-\x{11F01}\x{11F03}\x{11F34}-\x{11F3A}\x{11F3E}-\x{11F42}\x{11F5A}\x{13440})"
    R"(\x{13447}-\x{13455}\x{1611E}-\x{1612F}\x{16F4F}\x{16F7F}-\x{16F87}\x{16FE4})"
    R"(\x{16FF0}-\x{16FF1}\x{1CF00}-\x{1CF2D}\x{1CF30}-\x{1CF46}\x{1E08F}\x{1E130}-\x{1E136})"
    R"(\x{1E2AE}\x{1E2EC}-\x{1E2EF}\x{1E4EC}-\x{1E4EF}\x{1E5EE}-\x{1E5EF})"
    R"(]])";

std::string type_of(const json& component, std::string_view what) {
  if (!component.is_object()) fail("{}: expected an object", what);
  const auto type = ConfigReader(component).text("type");
  if (!type) fail("{}: it has no type", what);
  return *type;
}

const json& list_in(const json& component, std::string_view key) {
  const json* list = ConfigReader(component).find(key);
  if (list == nullptr || !list->is_array()) fail("'{}': expected a list", key);
  return *list;
}

bool flag(const json& component, std::string_view key, std::optional<bool> standard = {}) {
  const auto value = ConfigReader(component).boolean(key);
  if (!value && !standard) fail("'{}' is missing, expected true or false", key);
  return value ? *value : *standard;
}

std::string text(const json& component, std::string_view key) {
  auto value = ConfigReader(component).text(key);
  if (!value) fail("'{}' is missing, expected a text", key);
  return *std::move(value);
}

// What is put into texts: bounded, for it multiplies.
std::string content(const json& component, std::string_view key) {
  std::string value = text(component, key);
  if (value.size() > kMostContentBytes)
    fail("'{}' has {} bytes, at most {} expected", key, value.size(), kMostContentBytes);
  return value;
}

// {"String": "text"} or {"Regex": "expression"}.
TextPattern pattern(const json& component) {
  const json* value = ConfigReader(component).object("pattern");
  if (value == nullptr) fail("'pattern' is missing");
  const ConfigReader kinds(*value);
  if (auto regex = kinds.text("Regex")) return {*std::move(regex), true};
  if (auto plain = kinds.text("String")) return {*std::move(plain), false};
  fail("'pattern': expected a String or a Regex");
}

SplitBehaviour behaviour(const json& component, std::string_view standard) {
  const std::string name = ConfigReader(component).text("behavior").value_or(std::string(standard));
  if (name == "Removed") return SplitBehaviour::kRemoved;
  if (name == "Isolated") return SplitBehaviour::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehaviour::kWithPrevious;
  if (name == "MergedWithNext") return SplitBehaviour::kWithNext;
  if (name == "Contiguous") return SplitBehaviour::kContiguous;
  fail("'behavior': '{}' is unknown", printable(name));
}

void check_space_mark(const json& component) {
  const std::string mark = text(component, "replacement");
  if (mark != kSpaceMark)
    fail("Metaspace with the replacement '{}' is not supported, only U+2581 is", printable(mark));
}

bool is_never(const json& component) {
  const std::string scheme = ConfigReader(component).text("prepend_scheme").value_or("always");
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fail("'prepend_scheme': '{}' is unknown", printable(scheme));
  const bool adds = flag(component, "add_prefix_space", true);
  return scheme == "never" || !adds;
}

WordStep split(TextPattern pattern, SplitBehaviour behaviour, bool invert = false) {
  return {Words::kSplit, std::move(pattern), behaviour, invert};
}

void add(std::vector<NormalizerStep>& steps, Normal kind, std::string content = {}) {
  NormalizerStep& step = steps.emplace_back();
  step.kind = kind;
  step.content = std::move(content);
}

void add_replace(std::vector<NormalizerStep>& steps, TextPattern pattern, std::string with) {
  add(steps, Normal::kReplace, std::move(with));
  steps.back().pattern = std::move(pattern);
}

void add_normalizer(const json& component, std::vector<NormalizerStep>& steps) {
  const std::string type = type_of(component, "normalizer");
  if (steps.size() > kMostSteps) fail("normalizer: more than {} steps", kMostSteps);
  if (type == "Sequence") {
    for (const json& part : list_in(component, "normalizers")) add_normalizer(part, steps);
  } else if (type == "NFC") {
    add(steps, Normal::kNfc);
  } else if (type == "NFD") {
    add(steps, Normal::kNfd);
  } else if (type == "NFKC") {
    add(steps, Normal::kNfkc);
  } else if (type == "NFKD") {
    add(steps, Normal::kNfkd);
  } else if (type == "Lowercase") {
    add(steps, Normal::kLowercase);
  } else if (type == "Strip") {
    if (flag(component, "strip_left")) add(steps, Normal::kStripLeft);
    if (flag(component, "strip_right")) add(steps, Normal::kStripRight);
  } else if (type == "StripAccents") {
    add_replace(steps, {kMark, true}, "");
  } else if (type == "Nmt") {
    add_replace(steps, {R"([\x01-\x08\x0B\x0E-\x1F\x7F\u008F\u009F])", true}, "");
    add_replace(steps, {R"([\t\n\f\r\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD])", true},
                " ");
  } else if (type == "Prepend") {
    add(steps, Normal::kPrepend, content(component, "prepend"));
  } else if (type == "Replace") {
    add_replace(steps, pattern(component), content(component, "content"));
  } else if (type == "Precompiled") {
    const auto charsmap = decode_base64(text(component, "precompiled_charsmap"));
    if (!charsmap) fail("'precompiled_charsmap' is no base64");
    if (!charsmap->empty()) add(steps, Normal::kCharsmap, *charsmap);
  } else if (type == "ByteLevel") {
    add(steps, Normal::kToAlphabet);
  } else if (type == "BertNormalizer") {
    const bool lowercases = flag(component, "lowercase", true);
    const json* strips = ConfigReader(component).find("strip_accents");  // null: as lowercase
    for (NormalizerStep& step :
         bert_normalizer({.cleans_text = flag(component, "clean_text", true),
         .parts_ideographs = flag(component, "handle_chinese_chars", true),
         .strips_accents = strips == nullptr ? lowercases : flag(component, "strip_accents"),
         .lowercases = lowercases}))
      steps.push_back(std::move(step));
  } else {
    fail("the normalizer '{}' is not supported", printable(type));
  }
}

void add_metaspace(const json& component, std::vector<WordStep>& steps) {
  check_space_mark(component);
  steps.push_back({Words::kMarkSpaces});
  if (!is_never(component)) {
    const bool first = ConfigReader(component).text("prepend_scheme") == "first";
    steps.push_back({first ? Words::kMarkVeryBeginning : Words::kMarkBeginning});
  }
  if (flag(component, "split", true))
    steps.push_back(split({std::string(kSpaceMark), false}, SplitBehaviour::kWithNext));
}

void add_pre_tokenizer(const json& component, std::vector<WordStep>& steps) {
  const std::string type = type_of(component, "pre_tokenizer");
  if (steps.size() > kMostSteps) fail("pre_tokenizer: more than {} steps", kMostSteps);
  if (type == "Sequence") {
    for (const json& part : list_in(component, "pretokenizers")) add_pre_tokenizer(part, steps);
  } else if (type == "ByteLevel") {
    if (flag(component, "add_prefix_space")) steps.push_back({Words::kPrependSpace});
    if (flag(component, "use_regex", true))
      steps.push_back(split({kGpt2Pattern, true}, SplitBehaviour::kIsolated));
    steps.push_back({Words::kToAlphabet});
  } else if (type == "Split") {
    steps.push_back(split(pattern(component), behaviour(component, ""), flag(component, "invert")));
  } else if (type == "Digits") {
    const bool each = flag(component, "individual_digits");
    steps.push_back(
        split({kDigit, true}, each ? SplitBehaviour::kIsolated : SplitBehaviour::kContiguous));
  } else if (type == "Punctuation") {
    steps.push_back(split({kBertPunctuation, true}, behaviour(component, "Isolated")));
  } else if (type == "Whitespace") {
    steps.push_back(split({kWordsAndSigns, true}, SplitBehaviour::kRemoved, true));
  } else if (type == "WhitespaceSplit") {
    steps.push_back(split({kWhiteSpace, true}, SplitBehaviour::kRemoved));
  } else if (type == "BertPreTokenizer") {
    for (WordStep& step : bert_words()) steps.push_back(std::move(step));
  } else if (type == "CharDelimiterSplit") {
    steps.push_back(split({text(component, "delimiter"), false}, SplitBehaviour::kRemoved));
  } else if (type == "FixedLength") {
    const int64_t length = ConfigReader(component).integer("length").value_or(5);
    if (length < 1 || length > 1024) fail("FixedLength: {} is no length", length);
    steps.push_back(
        split({fmt::format("(?m:.{{1,{}}})", length), true}, SplitBehaviour::kIsolated));
  } else if (type == "Metaspace") {
    add_metaspace(component, steps);
  } else {
    fail("the pre-tokenizer '{}' is not supported", printable(type));
  }
}

void add_decoder(const json& component, Decoding& decoding) {
  const std::string type = type_of(component, "decoder");
  if (type == "Sequence") {
    for (const json& part : list_in(component, "decoders")) add_decoder(part, decoding);
  } else if (type == "ByteLevel") {
    decoding.of_bytes = true;
  } else if (type == "Metaspace") {
    check_space_mark(component);
    if (!is_never(component)) decoding.strips_first_space = true;
  } else if (type == "Replace") {
    const TextPattern from = pattern(component);
    const std::string to = text(component, "content");
    if (from.text != kSpaceMark || to != " ")
      fail("a decoder that replaces '{}' by '{}' is not supported", printable(from.text),
           printable(to));
  } else if (type == "Strip") {
    const ConfigReader strip(component);
    const int64_t start = strip.integer("start").value_or(0),
                  stop = strip.integer("stop").value_or(0);
    if (text(component, "content") != " " || start > 1 || stop != 0)
      fail("a decoder that strips more than one space from the beginning is not supported");
    if (start == 1) decoding.strips_first_space = true;
  } else if (type == "WordPiece") {
    decoding.strips_first_space = true;
  } else if (type != "ByteFallback" && type != "Fuse") {
    fail("the decoder '{}' is not supported", printable(type));
  }
}

// "cls": ["<s>", 0].
int64_t token_of_pair(const json& component, std::string_view key) {
  const json* pair = ConfigReader(component).find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2 ||
      !(*pair)[1].is_number_unsigned() || (*pair)[1].get<uint64_t>() > UINT32_MAX)
    fail("'{}': expected a token and its id", key);
  return (*pair)[1].get<int64_t>();
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": ...}
Surroundings read_template(const json& component) {
  Surroundings around;
  const json* tokens = ConfigReader(component).object("special_tokens");
  bool seen_text = false;
  for (const json& piece : list_in(component, "single")) {
    if (!piece.is_object()) fail("'single': expected a list of objects");
    const ConfigReader reader(piece);
    if (const json* sequence = reader.object("Sequence")) {
      if (seen_text || ConfigReader(*sequence).text("id") != "A")
        fail("'single': expected the text once");
      seen_text = true;
      continue;
    }
    const json* special = reader.object("SpecialToken");
    if (special == nullptr) fail("'single': expected SpecialToken or Sequence");
    const std::string name = text(*special, "id");
    const json* token = tokens == nullptr ? nullptr : ConfigReader(*tokens).object(name);
    if (token == nullptr) fail("'special_tokens' lacks '{}'", printable(name));
    for (const json& id : list_in(*token, "ids")) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > UINT32_MAX)
        fail("'ids': expected a list of ids");
      (seen_text ? around.after : around.before).push_back(id.get<int64_t>());
    }
  }
  if (!seen_text) fail("'single' leaves the text out");
  return around;
}

}  // namespace

const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::vector<NormalizerStep> read_normalizer(const json& component) {
  std::vector<NormalizerStep> steps;
  if (!component.is_null()) add_normalizer(component, steps);
  return steps;
}

std::vector<WordStep> read_pre_tokenizer(const json& component) {
  std::vector<WordStep> steps;
  if (!component.is_null()) add_pre_tokenizer(component, steps);
  return steps;
}

Decoding read_decoder(const json& component) {
  Decoding decoding;
  if (!component.is_null()) add_decoder(component, decoding);
  return decoding;
}

Surroundings read_post_processor(const json& component) {
  if (component.is_null()) return {};
  const std::string type = type_of(component, "post_processor");
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return read_template(component);
  if (type == "RobertaProcessing" || type == "BertProcessing")
    return {{token_of_pair(component, "cls")}, {token_of_pair(component, "sep")}};
  if (type != "Sequence") fail("the post-processor '{}' is not supported", printable(type));
  Surroundings all;
  for (const json& part : list_in(component, "processors")) {
    const Surroundings one = read_post_processor(part);
    all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
    all.after.insert(all.after.end(), one.after.begin(), one.after.end());
  }
  return all;
}

}  // namespace tessera::huggingface
