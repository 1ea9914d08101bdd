#include "grammar/formats.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <fmt/format.h>

#include "grammar/pattern.h"
#include "grammar/schema_budget.h"

namespace tessera::grammar {
namespace {

// RFC 3339. Gregorian leap years; no leap seconds.
constexpr const char* kDate =
    R"((?!0000)(\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8])))"
    R"(|(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29))";
constexpr const char* kTime =
    R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))";
// ISO 8601, as RFC 3339 has it.
constexpr const char* kDurationTime = R"(T(\d+H(\d+M(\d+S)?)?|\d+M(\d+S)?|\d+S))";

constexpr const char* kByte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
// A label of a name in the DNS (RFC 1123) of up to {} characters, not an encoded one (xn--).
constexpr const char* kLabel = "(?!..--)[a-zA-Z0-9]([a-zA-Z0-9-]{{0,{}}}[a-zA-Z0-9])?";

std::string ipv4() {
  return fmt::format("{0}(\\.{0}){{3}}", kByte);
}

// RFC 3986, section 3.2.2.
std::string ipv6() {
  constexpr const char* kGroup = "[0-9a-fA-F]{1,4}";
  const std::string last = fmt::format("({0}:{0}|{1})", kGroup, ipv4());
  std::string any = fmt::format("({0}:){{6}}{1}|::({0}:){{5}}{1}", kGroup, last);
  for (int before = 0; before < 5; ++before)
    any +=
        fmt::format("|(({0}:){{0,{1}}}{0})?::({0}:){{{2}}}{3}", kGroup, before, 4 - before, last);
  any += fmt::format("|(({0}:){{0,5}}{0})?::{0}|(({0}:){{0,6}}{0})?::", kGroup);
  return fmt::format("({})", any);
}

// Of at most 253 characters: a few long labels or more short ones.
std::string hostname() {
  const std::string longest = fmt::format(fmt::runtime(kLabel), 61);
  const std::string shorter = fmt::format(fmt::runtime(kLabel), 29);
  return fmt::format("({0}(\\.{0}){{0,2}}|{1}(\\.{1}){{0,6}})", longest, shorter);
}

std::string email() {
  constexpr const char* kAtom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,30}";
  const std::string label = fmt::format(fmt::runtime(kLabel), 40);
  return fmt::format("{0}(\\.{0})?@{1}(\\.{1}){{1,4}}", kAtom, label);
}

// RFC 3986, and 3987 with characters beyond ASCII.
std::string uri(bool relative_too, bool international) {
  const std::string letters = fmt::format(
      "a-zA-Z0-9._~{}", international ? "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF" : "");
  constexpr const char* kEncoded = "%[0-9a-fA-F]{2}";
  const auto part = [&](const char* more) {
    return fmt::format("([{}!$&'()*+,;={}-]|{})", letters, more, kEncoded);
  };
  const std::string character = part(":@"), name = part(""), user = part(":");
  // Without addresses in brackets, which would take four times as many states as all else.
  const std::string authority = fmt::format("({}*@)?{}*(:\\d*)?", user, name);
  const std::string rest = fmt::format("(/{}*)*", character);
  const std::string rooted = fmt::format("/({}+{})?", character, rest);
  const std::string ending = fmt::format("(\\?{0}*)?(#{0}*)?", part(":@/?"));
  const std::string absolute = fmt::format("[a-zA-Z][a-zA-Z0-9+.-]*:(//{}{}|{}|{}+{}|)", authority,
                                           rest, rooted, character, rest);
  if (!relative_too) return absolute + ending;
  return fmt::format("({}|//{}{}|{}|{}+{}|){}", absolute, authority, rest, rooted, part("@"), rest,
                     ending);
}

// RFC 6570.
std::string uri_template() {
  constexpr const char* kName =
      R"(([a-zA-Z0-9_]|%[0-9a-fA-F]{2})(\.?([a-zA-Z0-9_]|%[0-9a-fA-F]{2}))*)";
  const std::string variable = fmt::format(R"({}(:[1-9]\d{{0,3}}|\*)?)", kName);
  return fmt::format(R"(([!#$&(-;=?-Z\[\]_a-z~]|%[0-9a-fA-F]{{2}}|\{{[+#./;?&]?{0}(,{0})*\}})*)",
                     variable);
}

// Regular expressions (ECMA 262) without much: of groups in groups two deep.
std::string regex() {
  constexpr const char* kEscape = R"(\\[dDwWsSnrtf.^$*+?()\[\]{}|/\\-])";
  const std::string atom = fmt::format(
      R"([^\\()\[\]{{}}*+?|^$]|{0}|\[\^?([^\\\[\]^-]|[a-z]|{0}|a-z|A-Z|a-f|A-F|0-9)+-?\])",
      kEscape);
  const auto sequence = [](const std::string& item) {
    // Where a text begins or ends nothing can be repeated.
    return fmt::format(R"(([\^$]|({0})([*+]\??|\?{{1,2}}|\{{\d{{1,3}},?\}})?)*)", item);
  };
  std::string items = atom;
  for (int depth = 0; depth < 2; ++depth)
    items = fmt::format(R"({0}|\((\?:)?{1}(\|{1})*\))", atom, sequence(items));
  return fmt::format(R"({0}(\|{0})*)", sequence(items));
}

struct Known {
  const char* name;
  std::string (*pattern)();
  bool exact;
};

constexpr const char* kPointer = "(/([^~/]|~[01])*)*";

const std::array kKnown = {
    Known{"date", [] { return std::string(kDate); }, true},
    Known{"time", [] { return std::string(kTime); }, false},
    Known{"date-time", [] { return fmt::format("({})T{}", kDate, kTime); }, false},
    Known{"duration",
          [] {
            return fmt::format(R"(P(\d+W|(\d+Y(\d+M(\d+D)?)?|\d+M(\d+D)?|\d+D)({0})?|{0}))",
                               kDurationTime);
          },
          true},
    Known{"uuid", [] { return std::string("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"); },
          true},
    Known{"ipv4", ipv4, true},
    Known{"ipv6", ipv6, true},
    Known{"hostname", hostname, false},
    Known{"idn-hostname", hostname, false},
    Known{"email", email, false},
    Known{"idn-email", email, false},
    Known{"uri", [] { return uri(false, false); }, false},
    Known{"uri-reference", [] { return uri(true, false); }, false},
    Known{"iri", [] { return uri(false, true); }, false},
    Known{"iri-reference", [] { return uri(true, true); }, false},
    Known{"uri-template", uri_template, false},
    Known{"json-pointer", [] { return std::string(kPointer); }, true},
    Known{"relative-json-pointer", [] { return fmt::format("(0|[1-9]\\d*)(#|{})", kPointer); },
          true},
    Known{"regex", regex, false},
};

}  // namespace

const Format* find_format(std::string_view name) {
  static std::mutex mutex;
  static std::array<std::unique_ptr<const Format>, kKnown.size()> found;
  for (size_t i = 0; i < kKnown.size(); ++i) {
    if (name != kKnown[i].name) continue;
    const std::lock_guard lock(mutex);
    if (!found[i]) {
      const SchemaBudget apart(
          SchemaBudget::Scope::kApart);  // whoever asks first pays no more than others
      found[i] = std::make_unique<const Format>(
          Format{pattern_language(fmt::format("^(?:{})$", kKnown[i].pattern())), kKnown[i].exact});
    }
    return found[i].get();
  }
  return nullptr;
}

}  // namespace tessera::grammar
