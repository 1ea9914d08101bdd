#include "checkpoint/bert_pipeline.h"

namespace tessera {
namespace {

// What "tokenizers" means by these, found by asking it about all characters. Its tables are those
// of Unicode 8, so sets are spelled out where later versions have more. Controls, formats, private
// characters and U+FFFD, but no tabs and line breaks.
constexpr const char* kControl =
    R"([\x00-\x08)"
    R"(\u000B-\u000C\u000E-\u001F\u007F-\u009F\u00AD\u0600-\u0605\u061C\u06DD\u070F\u180E)"
    R"(\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u206F\uE000-\uF8FF\uFEFF\uFFF9-\uFFFB)"
    R"(\uFFFD\x{110BD}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0001}\x{E0020}-\x{E007F})"
    R"(\x{F0000}-\x{FFFFD}\x{100000}-\x{10FFFD})"
    R"(])";
constexpr const char* kWhiteSpace =
    R"([)"
    R"(\u0009-\u000A\u000D\u0020\u00A0\u1680\u2000-\u200A\u2028-\u2029\u202F\u205F\u3000)"
    R"(])";
// CJK, without U+2B820 to U+2B91F.
constexpr const char* kIdeograph =
    R"([)"
    R"(\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\x{20000}-\x{2A6DF}\x{2A700}-\x{2B81F})"
    R"(\x{2B920}-\x{2CEAF}\x{2F800}-\x{2FA1F})"
    R"(])";
// Nonspacing marks.
constexpr const char* kAccent =
    R"([\p{Mn}\u1734\x{1171E}&&[^)"
    R"(\u0340-\u0341\u0343-\u0344\u05C8-\u05C9\u07FD\u0897-\u08E1\u09FE\u0AFA-\u0AFF)"
    R"(\u0B53-\u0B55\u0C04-\u0C3C\u0C48\u0D00\u0D3B-\u0D3C\u0D81\u0EBA\u0ECE\u0F73\u0F75-\u0F76)"
    R"(\u0F78\u0F81\u0F93\u0F9D\u0FA2\u0FA7\u0FAC\u0FB9\u180F-\u1886\u1ABF-\u1AF0\u1DF6-\u1DFB)"
    R"(\uA82C\uA8C5\uA8FF\uA9BD\x{10D24}-\x{10F85}\x{11070}-\x{11074}\x{110C2})"
    R"(\x{1112E}-\x{1112F}\x{111C9}\x{111CF}\x{1123E}-\x{11241}\x{1133B}\x{113BB}-\x{1145E})"
    R"(\x{1182F}-\x{1612F}\x{16F4F}\x{16FE4}\x{1CF00}-\x{1D128}\x{1D25B}-\x{1D25C})"
    R"(\x{1E000}-\x{1E6F5}\x{1E944}-\x{1E94A})"
    R"(]])";

NormalizerStep step(NormalizerStep::Kind kind, const char* pattern = nullptr,
                    const char* content = "") {
  NormalizerStep result;
  result.kind = kind;
  if (pattern != nullptr) result.pattern = {pattern, true};
  result.content = content;
  return result;
}

}  // namespace

const char* const kBertPunctuation =
    R"([\p{P}$+<=>\^`|~\u166D\x{111C9}&&[^\u061D\u09FD\u0A76\u0C77\u0C84\u1B4E\u1B4F\u1B7D-\u1B7F)"
    R"(\u2E43-\u2E4F\u2E52-\u2E5D\x{10D6E}\x{10EAD}\x{10F55}-\x{10F59}\x{10F86}-\x{10F89})"
    R"(\x{113D4}\x{113D5}\x{113D7}\x{113D8}\x{1144B}-\x{1144F}\x{1145A}\x{1145B}\x{1145D})"
    R"(\x{11660}-\x{1166C}\x{116B9}\x{1183B}\x{11944}-\x{11946}\x{119E2}\x{11A3F}-\x{11A46})"
    R"(\x{11A9A}-\x{11A9C}\x{11A9E}-\x{11AA2}\x{11B00}-\x{11B09}\x{11BE1}\x{11C41}-\x{11C45})"
    R"(\x{11C70}\x{11C71}\x{11EF7}\x{11EF8}\x{11F43}-\x{11F4F}\x{11FFF}\x{12FF1}\x{12FF2})"
    R"(\x{16D6D}-\x{16D6F}\x{16E97}-\x{16E9A}\x{16FE2}\x{1E5FF}\x{1E95E}\x{1E95F}]])";

std::vector<NormalizerStep> bert_normalizer(const BertNormalizer& options) {
  using enum NormalizerStep::Kind;
  std::vector<NormalizerStep> steps;
  if (options.cleans_text) {
    steps.push_back(step(kReplace, kControl));
    steps.push_back(step(kReplace, kWhiteSpace, " "));
  }
  if (options.parts_ideographs) steps.push_back(step(kSurround, kIdeograph, " "));
  if (options.strips_accents) {
    steps.push_back(step(kNfd));
    steps.push_back(step(kReplace, kAccent));
  }
  if (options.lowercases) steps.push_back(step(kLowercase));
  return steps;
}

std::vector<WordStep> bert_words() {
  return {{.pattern = {R"(\s)", true}, .behaviour = SplitBehaviour::kRemoved},
          {.pattern = {kBertPunctuation, true}, .behaviour = SplitBehaviour::kIsolated}};
}

}  // namespace tessera
