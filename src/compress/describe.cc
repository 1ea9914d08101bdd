// What became of a model's tensors, for people.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "compress/quantize.h"

namespace tessera {
namespace {

// "168 matrices kept their codes (INT4/128 to Q4_0); ...".
std::string describe_kept(const QuantizeSummary& summary) {
  std::map<std::pair<std::string_view, std::string_view>, std::pair<int, float>> kinds;
  for (const QuantizedTensor& tensor : summary.tensors) {
    if (tensor.kept_rows == 0) continue;
    auto& [count, rounding] = kinds[{tensor.from->name, tensor.to->name}];
    ++count;
    rounding = std::max(rounding, tensor.rounding);
  }
  std::string text;
  for (const auto& [formats, kept] : kinds) {
    fmt::format_to(
        std::back_inserter(text), "{} {} kept {} codes, {} as {}: {}\n", kept.first,
        kept.first == 1 ? "matrix" : "matrices", kept.first == 1 ? "its" : "their", formats.first,
        formats.second,
        kept.second == 0
            ? std::string("every value is the same")
            : fmt::format("scales and minimums moved values by {:.4f} steps at most", kept.second));
  }
  return text;
}

// "210 matrices have 576 columns, which are no whole blocks of 256: Q4_K became Q5_0 (180), ..."
std::string describe_fallbacks(const QuantizeSummary& summary) {
  using Columns = std::pair<uint64_t, size_t>;  // and the elements of the wanted format's blocks
  std::map<Columns, std::map<std::pair<std::string_view, std::string_view>, int>> fallbacks;
  for (const QuantizedTensor& tensor : summary.tensors) {
    if (tensor.to == tensor.wanted) continue;
    ++fallbacks[{tensor.columns, tensor.wanted->block_elements}]
               [{tensor.wanted->name, tensor.to->name}];
  }
  std::string text;
  for (const auto& [columns, changes] : fallbacks) {
    int matrices = 0;
    std::vector<std::string> list;
    for (const auto& [formats, count] : changes) {
      matrices += count;
      list.push_back(fmt::format("{} became {} ({})", formats.first, formats.second, count));
    }
    fmt::format_to(std::back_inserter(text),
                   "{} {} {} columns, which are no whole blocks of {}: {}\n", matrices,
                   matrices == 1 ? "matrix has" : "matrices have", columns.first, columns.second,
                   fmt::join(list, ", "));
  }
  return text;
}

// "blk.*.attn_q.weight    Q4_K 20, Q5_K 10", a line for each kind of matrix.
std::string describe_formats(const QuantizeSummary& summary) {
  std::vector<std::string> kinds;  // in the order of the file
  std::map<std::string, std::map<std::string, int>> counts;
  size_t width = 0;
  std::string_view left = summary.formats;
  while (!left.empty()) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), line.size() + 1));
    const size_t equals = line.rfind('=');
    std::string kind;
    for (const char c : line.substr(0, equals)) {
      const bool is_digit = c >= '0' && c <= '9';
      if (!is_digit) kind += c;
      if (is_digit && !kind.ends_with('*')) kind += '*';
    }
    if (!counts.contains(kind)) kinds.push_back(kind);
    ++counts[kind][std::string(line.substr(equals + 1))];
    width = std::max(width, kind.size());
  }
  std::string text;
  for (const std::string& kind : kinds) {
    std::vector<std::string> formats;
    for (const auto& [format, count] : counts[kind])
      formats.push_back(fmt::format("{} {}", format, count));
    fmt::format_to(std::back_inserter(text), "{:<{}}  {}\n", kind, width, fmt::join(formats, ", "));
  }
  if (summary.expected_divergence > 0) {
    fmt::format_to(std::back_inserter(text),
                   "expected KL divergence: {:.4f} nats a token, by the errors of rounding\n",
                   summary.expected_divergence);
  }
  return text;
}

}  // namespace

std::string describe(const QuantizeSummary& summary) {
  std::string text;
  const auto out = std::back_inserter(text);
  size_t width = 4;
  for (const auto& tensor : summary.tensors) width = std::max(width, printable(tensor.name).size());
  fmt::format_to(out, "{:<{}}  {:>8}    {:<8} {:>13} {:>13}  {}\n", "name", width, "from", "to",
                 "bytes before", "bytes after", "relative error");
  for (const auto& tensor : summary.tensors) {
    fmt::format_to(out, "{:<{}}  {:>8} -> {:<8} {:>13} {:>13}", printable(tensor.name), width,
                   tensor.from->name, tensor.to->name, tensor.bytes_before, tensor.bytes_after);
    if (tensor.from != tensor.to) fmt::format_to(out, "  {:.5f}", tensor.relative_error);
    text += '\n';
  }
  return text + describe_totals(summary);
}

std::string describe_totals(const QuantizeSummary& summary) {
  return fmt::format("{:.2f} MB ({:.2f} bits per weight) -> {:.2f} MB ({:.2f} bits per weight)\n",
                     static_cast<double>(summary.bytes_before) / 1e6,
                     summary.bits_per_weight_before, static_cast<double>(summary.bytes_after) / 1e6,
                     summary.bits_per_weight_after) +
         (summary.by_target ? describe_formats(summary) : "") + describe_kept(summary) +
         describe_fallbacks(summary);
}

}  // namespace tessera
