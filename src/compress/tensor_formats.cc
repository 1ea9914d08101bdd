#include "compress/tensor_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "files/save.h"
#include "text/regex.h"

namespace tessera {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

TensorFormat parse_entry(std::string_view entry, std::string_view what) {
  const size_t equals = entry.rfind('=');  // a pattern may have some, a format has none
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == entry.size()) {
    fail("{}: '{}' is not PATTERN=FORMAT, as in attn_v=q6_k", printable(what, 400),
         printable(entry));
  }
  const std::string_view name = entry.substr(equals + 1);
  const Format* format = find_format(name);
  if (format == nullptr)
    fail("{}: '{}' is no number format", printable(what, 400), printable(name));
  if (format->encode == nullptr)
    fail("{}: encoding to {} is not supported", printable(what, 400), format->name);
  const std::string_view pattern = entry.substr(0, equals);
  if (!is_valid_utf8(pattern) || !Regex::is_valid(pattern))
    fail("{}: '{}' is no regular expression", printable(what, 400), printable(pattern));
  return {.pattern = std::string(pattern), .format = format};
}

}  // namespace

std::vector<TensorFormat> parse_tensor_formats(std::string_view text, std::string_view what) {
  std::vector<TensorFormat> formats;
  for (size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;
       at = text.find_first_not_of(kBlanks, at)) {
    if (text[at] == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    const size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    formats.push_back(parse_entry(text.substr(at, end - at), what));
    at = end;
  }
  if (formats.empty()) fail("{}: no PATTERN=FORMAT, as in attn_v=q6_k", printable(what, 400));
  return formats;
}

std::vector<bool> apply_tensor_formats(std::span<const TensorFormat> formats,
                                       const Checkpoint& model, std::span<PlannedFormat> plan) {
  std::vector<bool> named(plan.size());
  std::vector<Regex> patterns;
  for (const TensorFormat& format : formats) patterns.emplace_back(format.pattern);
  std::vector<bool> found(formats.size());
  Regex::Scratch scratch;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    if (!is_reencoded(tensor)) continue;
    const std::string name = written_name(model, tensor);
    for (size_t f = 0; f < formats.size(); ++f) {
      if (!patterns[f].match(name, 0, scratch, Regex::Empty::kAllowed)) continue;
      found[f] = true;
      if (named[i]) continue;  // by an earlier one
      named[i] = true;
      plan[i] = {&format_that_fits(*formats[f].format, tensor.columns()), formats[f].format};
    }
  }
  for (size_t f = 0; f < formats.size(); ++f) {
    if (found[f]) continue;
    fail("'{}={}' names none of the model's matrices", printable(formats[f].pattern),
         formats[f].format->name);
  }
  return named;
}

std::string write_tensor_formats(const Checkpoint& model, std::span<const PlannedFormat> plan) {
  std::vector<std::pair<std::string, const Format*>> lines;
  for (size_t i = 0; i < plan.size(); ++i) {
    const StoredTensor& tensor = model.tensors()[i];
    if (is_reencoded(tensor)) lines.emplace_back(written_name(model, tensor), plan[i].format);
  }
  // The first name that is found in a tensor's counts, so one that others contain goes behind them:
  // output.weight behind blk.0.attn_output.weight.
  const auto is_contained = [&](const auto& line) {
    return std::ranges::any_of(lines, [&](const auto& other) {
      return other.first.size() > line.first.size() &&
             other.first.find(line.first) != std::string::npos;
    });
  };
  std::string contained, text;
  for (const auto& line : lines) {
    fmt::format_to(std::back_inserter(is_contained(line) ? contained : text), "{}={}\n", line.first,
                   line.second->name);
  }
  return text + contained;
}

}  // namespace tessera
