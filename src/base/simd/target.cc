#include "base/simd/target.h"

#include <cstdlib>
#include <mutex>

#include "base/error.h"
#include "base/simd/simd_targets.h"

namespace tessera {
namespace {

// Highway orders targets by bit: the lower, the better. The static target (what the compiler may
// use everywhere) is the last resort and always there.
constexpr int64_t bit(size_t i) {
  return int64_t{1} << i;
}
constexpr size_t kBits = 63;

// Those of `targets` that are no better than the named one, and the last resort; "": all of them.
int64_t capped(int64_t targets, std::string_view name) {
  if (name.empty()) return targets;
  std::vector<std::string_view> known;
  for (size_t i = 0; i < kBits; ++i) {
    if ((HWY_TARGETS & bit(i)) == 0) continue;
    known.push_back(hwy::TargetName(bit(i)));
    if (name == known.back()) return (targets & ~(bit(i) - 1)) | HWY_STATIC_TARGET;
  }
  fail("TESSERA_TARGET: \"{}\" is none of this program's instruction sets ({})", name,
       fmt::join(known, ", "));
}

// What the machine can run of this program's targets, as far as the environment lets it.
int64_t machine_targets() {
  static const int64_t targets = [] {
    hwy::SetSupportedTargetsForTest(0);  // as detected
    const char* name = std::getenv("TESSERA_TARGET");
    return capped(hwy::SupportedTargets() & HWY_TARGETS, name == nullptr ? "" : name);
  }();
  return targets;
}

void use(int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

std::vector<const char*> available_targets() {
  std::vector<const char*> names;
  for (size_t i = 0; i < kBits; ++i) {
    if ((machine_targets() & bit(i)) != 0) names.push_back(hwy::TargetName(bit(i)));
  }
  return names;
}

void choose_target() {
  static std::once_flag once;
  std::call_once(once, [] { use(machine_targets()); });
}

void cap_target(std::string_view name) {
  choose_target();  // now: it must not undo this later
  use(capped(machine_targets(), name));
}

const char* target_name() {
  choose_target();
  return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());
}

}  // namespace tessera
