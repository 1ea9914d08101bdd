#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <new>

#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

namespace tessera {
namespace {

// Ours need a few steps for each character. One that needs more than this for one match is made to
// burn time.
constexpr uint32_t kMaxSteps = 10'000'000;
constexpr uint32_t kMaxHeapKib = 64 * 1024;

struct Compiled {
  pcre2_code* code;
  int error;
  size_t offset;
};

Compiled compile(std::string_view pattern) {
  Compiled result = {};
  result.code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY,
                              &result.error, &result.offset, nullptr);
  return result;
}

}  // namespace

struct Regex::Scratch::Memory {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  // The default stack (32 KiB of the machine's) is enough for our expressions, none of which keeps
  // a state for each character; the larger one is only the belt to these braces.
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 8 * 1024 * 1024, nullptr);

  Memory() {
    if (data == nullptr || context == nullptr || stack == nullptr) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_match_limit(context, kMaxSteps);
    pcre2_set_heap_limit(context, kMaxHeapKib);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

Regex::Scratch::Scratch() : memory_(std::make_unique<Memory>()) {}
Regex::Scratch::~Scratch() = default;

struct Regex::Code {
  pcre2_code* code;
  bool has_jit;

  explicit Code(pcre2_code* compiled)
      : code(compiled),
        // Where the system forbids JIT the interpreter does the same, slower.
        has_jit(pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE) == 0) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern) {
  const Compiled compiled = compile(pattern);
  if (compiled.code == nullptr) {
    fail("the expression '{}' is malformed: PCRE2 error {} at {}", printable(pattern, 400),
         compiled.error, compiled.offset);
  }
  code_ = std::make_unique<const Code>(compiled.code);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

bool Regex::is_valid(std::string_view pattern) {
  const Compiled compiled = compile(pattern);
  pcre2_code_free(compiled.code);
  return compiled.code != nullptr;
}

std::optional<std::pair<size_t, size_t>> Regex::match(std::string_view text, size_t from,
                                                      Scratch& scratch, Empty empty) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const uint32_t options =
      PCRE2_NO_UTF_CHECK | (empty == Empty::kRefused ? PCRE2_NOTEMPTY : uint32_t{0});
  Scratch::Memory& memory = *scratch.memory_;
  const int result = code_->has_jit ? pcre2_jit_match(code_->code, subject, text.size(), from,
                                                      options, memory.data, memory.context)
                                    : pcre2_match(code_->code, subject, text.size(), from, options,
                                                  memory.data, memory.context);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) fail("pre-tokenizer: PCRE2 error {} in a text of {} bytes", result, text.size());
  const size_t* ends = pcre2_get_ovector_pointer(memory.data);
  return std::pair(ends[0], ends[1]);
}

void Regex::for_each_match(std::string_view text, Scratch& scratch,
                           FunctionRef<void(size_t, size_t)> visit) const {
  size_t from = 0;
  std::optional<size_t> last_end;
  while (const auto found = match(text, from, scratch, Empty::kAllowed)) {
    const auto [begin, end] = *found;
    if (begin != end || end != last_end) {
      visit(begin, end);
      last_end = from = end;
    } else if (from == text.size()) {
      break;
    } else {
      from += utf8_length_from_lead(text[from]);
    }
  }
}

}  // namespace tessera
