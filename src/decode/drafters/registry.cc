// The table of drafters, and those that a program adds at run time.
#include <algorithm>
#include <deque>

#include "base/error.h"
#include "decode/drafters/drafters.h"

namespace tessera {
namespace {

std::deque<DrafterKind>& kinds() {
  static std::deque<DrafterKind> all = {
      {"lookup", "what followed the last tokens before", [](Model&) { return make_lookup(); }},
  };
  return all;
}

const DrafterKind* look_up(std::string_view name) {
  const auto found = std::ranges::find(kinds(), name, &DrafterKind::name);
  return found == kinds().end() ? nullptr : &*found;
}

}  // namespace

void add_drafter(DrafterKind kind) {
  if (kind.name == kPlainDecoder || look_up(kind.name) != nullptr)
    fail("there is a decoder '{}' already", kind.name);
  kinds().push_back(std::move(kind));
}

const DrafterKind* find_drafter(std::string_view name) {
  if (name == kPlainDecoder) return nullptr;
  if (const DrafterKind* kind = look_up(name)) return kind;
  fail("there is no decoder '{}' (known: {})", name, fmt::join(decoder_names(), ", "));
}

std::vector<std::string> decoder_names() {
  std::vector<std::string> names = {std::string(kPlainDecoder)};
  for (const DrafterKind& kind : kinds()) names.push_back(kind.name);
  return names;
}

}  // namespace tessera
