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

}  // namespace

std::vector<const char*> available_targets() {
  std::vector<const char*> names;
  for (int64_t target : hwy::SupportedAndGeneratedTargets())
    names.push_back(hwy::TargetName(target));
  return names;
}

void cap_target(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (!name.empty()) {
    int64_t cap = 0;
    for (size_t i = 0; i < kBits; ++i) {
      if ((HWY_TARGETS & bit(i)) != 0 && name == hwy::TargetName(bit(i))) cap = bit(i);
    }
    if (cap == 0) {
      fail("TESSERA_TARGET: \"{}\" is none of this program's instruction sets ({})", name,
           fmt::join(available_targets(), ", "));
    }
    // The target named, and all below it, as far as the machine has them.
    hwy::SetSupportedTargetsForTest((hwy::SupportedTargets() & ~(cap - 1)) | HWY_STATIC_TARGET);
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

void choose_target() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* name = std::getenv("TESSERA_TARGET");
    cap_target(name == nullptr ? "" : name);
  });
}

const char* target_name() {
  choose_target();
  return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());
}

}  // namespace tessera
