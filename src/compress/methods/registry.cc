// The list of all methods.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/printable.h"
#include "compress/methods/method.h"
#include "model/taps.h"

namespace tessera {

std::span<const Method* const> all_methods() {
  static constexpr const Method* kMethods[] = {
      &kRtn, &kGptq, &kHqq, &kClip, &kAbsmax, &kZeroPoint, &kMagnitude, &kWanda, &kSparseGpt};
  return kMethods;
}

std::unique_ptr<RowEncoder> encoder_without_text(const Method& method, const TensorPlace& place,
                                                 const Format& format,
                                                 std::span<const float> importance,
                                                 const MethodOptions& options) {
  const bool takes = method.without_text != nullptr && (!method.prunes || input_of(place.role));
  return takes ? method.without_text(format, importance, options)
               : round_to_nearest(format, importance);
}

const Method& require_method(std::string_view name) {
  std::string known;
  for (const Method* method : all_methods()) {
    if (method->name == name) return *method;
    if (!known.empty()) known += ", ";
    known += method->name;
  }
  fail(
      "unknown method '{}'; known are {}; in front of one awq and smoothquant (awq+gptq), in front "
      "of gptq hqq, absmax and zeropoint (hqq+gptq)",
      printable(name), known);
}

}  // namespace tessera
