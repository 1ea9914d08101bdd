#include "files/gguf/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "files/gguf/layout.h"

namespace tessera::gguf {
namespace {

constexpr size_t kDigits = 5;

// Takes "-00001" off the end of `text`, where "-" is any `mark`.
std::optional<size_t> take_number(std::string_view& text, std::string_view mark) {
  if (text.size() < mark.size() + kDigits) return std::nullopt;
  const std::string_view digits = text.substr(text.size() - kDigits);
  size_t number = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<size_t>(digit - '0');
  }
  text.remove_suffix(kDigits);
  if (!text.ends_with(mark)) return std::nullopt;
  text.remove_suffix(mark.size());
  return number;
}

}  // namespace

std::optional<SplitName> parse_split_name(const std::filesystem::path& path) {
  const std::string whole = path.string();
  std::string_view text = whole;
  constexpr std::string_view kExtension = ".gguf";
  if (!text.ends_with(kExtension)) return std::nullopt;
  text.remove_suffix(kExtension.size());
  const auto count = take_number(text, "-of-");
  if (!count) return std::nullopt;
  const auto number = take_number(text, "-");
  if (!number || *number < 1 || *number > *count || *count > kMaxSplits) return std::nullopt;
  return SplitName{std::string(text), *number, *count};
}

std::filesystem::path split_path(const std::string& prefix, size_t number, size_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

}  // namespace tessera::gguf
