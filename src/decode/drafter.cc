#include "decode/drafter.h"

#include <string>

#include "base/error.h"
#include "decode/prompt_lookup.h"

namespace tessera {

std::unique_ptr<Drafter> make_drafter(std::string_view name) {
  if (name == "plain") return nullptr;
  if (name == "prompt-lookup") return std::make_unique<PromptLookup>();
  std::string known;
  for (const auto drafter : drafter_names())
    known += (known.empty() ? "" : ", ") + std::string(drafter);
  fail("there is no decoder '{}' (known: {})", name, known);
}

std::vector<std::string_view> drafter_names() {
  return {"plain", "prompt-lookup"};
}

}  // namespace tessera
