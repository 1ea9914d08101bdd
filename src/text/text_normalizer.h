// Changes texts before they are cut into words, as a TextPipeline says.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/text_pipeline.h"

namespace tessera {

class TextNormalizer {
 public:
  // Throws Error for an expression or a charsmap that is malformed.
  explicit TextNormalizer(std::span<const NormalizerStep> steps);
  ~TextNormalizer();
  TextNormalizer(TextNormalizer&&) noexcept;

  struct Result {
    std::string text;
    bool keeps_beginning = true;  // nothing was cut off from the beginning
  };
  // `text` is valid UTF-8, and so is what becomes of it. `continues`: nothing is put before it.
  // Throws Error if it grows beyond measure, which only expressions made for that let it do.
  Result normalize(std::string_view text, bool continues) const;

  bool changes_nothing() const { return steps_.empty(); }

 private:
  struct Step;
  // Up to the step `end`, or all.
  Result normalize_until(std::string_view text, bool continues, const Step* end) const;
  std::string beginning_until(std::string_view text, const Step& end) const;

  std::vector<Step> steps_;
};

}  // namespace tessera
