// The table of drafters, those that a program adds at run time, and how they are asked for.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>

#include "base/error.h"
#include "decode/decoder.h"
#include "decode/drafters/drafters.h"

namespace tessera {
namespace {

const DrafterKind& plain_kind() {
  static const DrafterKind plain{
      std::string(kPlainDecoder), "one token a step", {}, {}, false, false, false};
  return plain;
}

std::deque<DrafterKind>& kinds() {
  static std::deque<DrafterKind> all = {
      auto_kind(),   draft_kind(),  forced_kind(), jacobi_kind(),     lookahead_kind(),
      lookup_kind(), medusa_kind(), mtp_kind(),    prediction_kind(), recycle_kind()};
  return all;
}

const DrafterKind* look_up(std::string_view name) {
  const auto found = std::ranges::find(kinds(), name, &DrafterKind::name);
  return found == kinds().end() ? nullptr : &*found;
}

std::vector<std::string> decoder_names() {
  std::vector<std::string> names = {std::string(kPlainDecoder)};
  for (const DrafterKind& kind : kinds()) names.push_back(kind.name);
  return names;
}

// Cuts what stands before the next comma off `text`.
std::string_view take_part(std::string_view& text) {
  const std::string_view part = text.substr(0, text.find(','));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

std::vector<std::string> setting_names(const DrafterKind& kind) {
  std::vector<std::string> names;
  for (const DrafterSetting& setting : kind.settings) names.push_back(setting.name);
  return names;
}

double parse_value(const DrafterSetting& setting, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || !(value >= setting.least && value <= setting.most) ||
      (setting.whole && value != std::floor(value))) {
    fail("'{}' of the decoder is '{}', expected {} from {} to {}", setting.name, text,
         setting.whole ? "an integer" : "a number", setting.least, setting.most);
  }
  return value;
}

}  // namespace

void add_drafter(DrafterKind kind) {
  if (kind.name == kPlainDecoder || look_up(kind.name) != nullptr)
    fail("there is a decoder '{}' already", kind.name);
  kinds().push_back(std::move(kind));
}

std::string describe_decoders() {
  const auto describe = [](const DrafterKind& kind) {
    std::string text = fmt::format("{}: {}", kind.name, kind.note);
    for (const DrafterSetting& setting : kind.settings)
      text += fmt::format("\n  {}={}: {}", setting.name, setting.value, setting.note);
    return text;
  };
  std::string text = describe(plain_kind());
  for (const DrafterKind& kind : kinds()) text.append("\n").append(describe(kind));
  return text;
}

Decoder parse_decoder(std::string_view text) {
  const std::string_view name = take_part(text);
  Decoder decoder{look_up(name), {}};
  if (decoder.kind == nullptr && name != kPlainDecoder)
    fail("there is no decoder '{}' (known: {})", name, fmt::join(decoder_names(), ", "));
  const DrafterKind& kind = decoder.kind != nullptr ? *decoder.kind : plain_kind();
  for (const DrafterSetting& setting : kind.settings) decoder.values[setting.name] = setting.value;
  while (!text.empty()) {
    const std::string_view part = take_part(text);
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view key = part.substr(0, equals);
    const auto setting = std::ranges::find(kind.settings, key, &DrafterSetting::name);
    if (setting == kind.settings.end()) {
      if (kind.settings.empty()) fail("the decoder '{}' has no settings, found '{}'", name, part);
      fail("the decoder '{}' has no setting '{}' (known: {})", name, key,
           fmt::join(setting_names(kind), ", "));
    }
    decoder.values[setting->name] =
        parse_value(*setting, part.substr(std::min(part.size(), equals + 1)));
  }
  return decoder;
}

}  // namespace tessera
