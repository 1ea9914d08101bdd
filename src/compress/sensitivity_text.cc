#include "compress/sensitivity_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "base/error.h"

namespace tessera {

std::string write_sensitivities(std::span<const Sensitivity> sensitivities) {
  std::string text;
  for (const Sensitivity& one : sensitivities) {
    fmt::format_to(std::back_inserter(text), "{} {}", one.tensor, one.factor);
    for (size_t f = 0; f < one.formats.size(); ++f)
      fmt::format_to(std::back_inserter(text), " {}={}", one.formats[f]->name, one.errors[f]);
    text += '\n';
  }
  return text;
}

std::vector<Sensitivity> read_sensitivities(std::string_view text,
                                            std::span<const size_t> tensors) {
  std::vector<Sensitivity> sensitivities;
  std::istringstream lines{std::string(text)};
  const auto refuse = [] { fail("what was measured is not what was written; remove the folder"); };
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Sensitivity one;
    if (!(words >> one.tensor >> one.factor)) refuse();
    for (std::string word; words >> word;) {
      const size_t equals = std::min(word.find('='), word.size());
      const Format* format = find_format(word.substr(0, equals));
      const std::string number = word.substr(std::min(equals + 1, word.size()));
      char* end = nullptr;
      const double error = std::strtod(number.c_str(), &end);
      if (format == nullptr || end == number.c_str() || !std::isfinite(error)) refuse();
      one.formats.push_back(format);
      one.errors.push_back(error);
    }
    if (one.formats.empty() || std::ranges::find(tensors, one.tensor) == tensors.end()) refuse();
    sensitivities.push_back(std::move(one));
  }
  if (sensitivities.size() != tensors.size()) refuse();
  return sensitivities;
}

}  // namespace tessera
