#define PCRE2_CODE_UNIT_WIDTH 8
#include "files/huggingface/layouts/name_pattern.h"

#include <pcre2.h>

#include "base/error.h"
#include "base/printable.h"

namespace tessera::huggingface {
namespace {

// Names have at most 256 bytes, and what matches one takes some hundreds of steps.
constexpr uint32_t kMaxSteps = 10'000;
constexpr size_t kMaxPatternBytes = 4096;

}  // namespace

struct NamePattern::Compiled {
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }

  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
};

NamePattern::NamePattern(const std::string& pattern) : pattern_(printable(pattern)) {
  if (pattern.size() > kMaxPatternBytes) {
    fail("the pattern '{}' has {} bytes, expected at most {}", pattern_, pattern.size(),
         kMaxPatternBytes);
  }
  auto compiled = std::make_shared<Compiled>();
  int error = 0;
  size_t offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                 PCRE2_ANCHORED, &error, &offset, nullptr);
  if (compiled->code == nullptr)
    fail("the pattern '{}' is no regular expression from byte {} on", pattern_, offset);
  compiled->context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(compiled->context, kMaxSteps);
  pcre2_set_depth_limit(compiled->context, kMaxSteps);
  compiled_ = std::move(compiled);
}

bool NamePattern::matches(std::string_view name) const {
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  const int result = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(name.data()),
                                 name.size(), 0, 0, data.get(), compiled_->context);
  if (result < 0 && result != PCRE2_ERROR_NOMATCH)
    fail("the pattern '{}' takes too long on '{}'", pattern_, printable(name));
  return result >= 0;
}

}  // namespace tessera::huggingface
