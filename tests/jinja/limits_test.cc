// A template comes from a stranger: whatever it does, rendering ends with a text or one line of
// Error.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "jinja/template.h"

namespace tessera::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string render(const std::string& source, const Json& variables = Json::object()) {
  return Template(source).render(variables);
}

// Renders, expecting an Error, and returns its message.
std::string failure(const std::string& source, const Json& variables = Json::object()) {
  try {
    const std::string output = render(source, variables);
    ADD_FAILURE() << "rendered " << output.size() << " bytes: " << source.substr(0, 200);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
}

std::string repeat(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(JinjaLimits, ErrorsNameTheLine) {
  EXPECT_EQ(failure("a\nb\n{{ missing.x }}"), "line 3: 'missing' is undefined");
  EXPECT_EQ(failure("{{ d.x.y }}", {{"d", Json::object()}}),
            "line 1: 'dict object' has no attribute 'x'");
  EXPECT_EQ(failure("\n{{ raise_exception('no\nway') }}"), "line 2: no way");
  EXPECT_EQ(failure("ok\n  {% nonsense %}"), "line 2, column 6: unknown tag 'nonsense'");
  EXPECT_EQ(failure("{{ 1 +\n  ] }}"), "line 2, column 3: unexpected ']'");
}

TEST(JinjaLimits, IntegersHave64Bits) {
  expect_contains(failure("{{ 9223372036854775807 + 1 }}"), "does not fit 64 bits");
  expect_contains(failure("{{ 2 ** 63 }}"), "does not fit 64 bits");
  expect_contains(failure("{{ -(-9223372036854775807 - 1) }}"), "does not fit 64 bits");
  expect_contains(failure("{{ (-9223372036854775807 - 1) // -1 }}"), "does not fit 64 bits");
  expect_contains(failure("{{ 9223372036854775808 }}"), "does not fit 64 bits");
  expect_contains(failure("{{ 1e300 | int }}"), "64-bit");
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_THROW(render("{{ n }}", {{"n", uint64_t{1} << 63}}), Error);
}

TEST(JinjaLimits, DeepSyntaxIsRefused) {
  for (const char* opening : {"(", "[", "{1:", "not ", "-", "f(", "x[", "1 if 1 else ", "x|f("}) {
    expect_contains(failure("{{ " + repeat(opening, 20000)), "line 1");
  }
  for (const char* link : {".a", "[0]", "()", "|f", " + 1", " ~ 1", " and 1", " is defined"}) {
    expect_contains(failure("{{ x" + repeat(link, 20000) + " }}"), "line 1");
  }
  expect_contains(failure(repeat("{% if 1 %}", 20000)), "too deeply");
  expect_contains(failure(repeat("{% for x in [1] %}", 20000)), "too deeply");
  // ... but what a template needs is there.
  EXPECT_EQ(render("{{ " + repeat("(", 60) + "1" + repeat(")", 60) + repeat(" + 1", 100) + " }}"),
            "101");
}

TEST(JinjaLimits, EndlessRecursionIsRefused) {
  expect_contains(failure("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"), "too deeply");
  expect_contains(
      failure("{% macro f() %}{% call f() %}x{% endcall %}{{ caller }}{% endmacro %}{{ f() }}"),
      "too deeply");
  expect_contains(failure("{% block b %}{{ self.b() }}{% endblock %}"), "too deeply");
  expect_contains(failure("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), "too deeply");
}

TEST(JinjaLimits, EndlessWorkIsRefused) {
  // A twentieth of the usual bound, to keep the test quick under sanitizers.
  RenderOptions options;
  options.limits.steps = 1'000'000;
  const auto expect_stopped = [&](const std::string& source) {
    try {
      Template(source).render(Json::object(), options);
      ADD_FAILURE() << "came to an end: " << source;
    } catch (const Error& error) {
      expect_contains(error.what(), "steps");
    }
  };
  expect_stopped(repeat("{% for x in range(10000) %}", 8) + repeat("{% endfor %}", 8));
  expect_stopped(
      "{% set ns = namespace(l=[0]) %}{% for x in range(9999) %}{% for y in ns.l %}"
      "{% set ns.l = ns.l + [x] %}{% endfor %}{% endfor %}");
  expect_stopped(
      "{% set s = 'ab' * 400000 %}{% for x in range(9999) %}{{ s.count('bb') }}{% endfor %}");
  expect_stopped("{% set l = ['x' * 99999] * 9999 %}{{ l | map('upper') | map('length') | sum }}");
  expect_stopped("{{ (range(99999) | list) == (range(99999) | list) }}" +
                 repeat("{{ range(99999) | sort | unique | list | length }}", 20));
}

TEST(JinjaLimits, HugeTextsAreRefused) {
  expect_contains(failure("{{ 'x' * 99999999999 }}"), "bytes");
  expect_contains(failure("{{ [1] * 99999999999 }}"), "too long");
  expect_contains(failure("{{ 'x'.center(99999999) }}"), "bytes");
  expect_contains(failure("{{ '%99999999d' % 5 }}"), "bytes");
  expect_contains(failure("{{ '{:99999999}'.format(5) }}"), "bytes");
  expect_contains(failure("{{ [[1]] | tojson(indent=99999999) }}"), "bytes");
  expect_contains(failure("{{ 'a\nb' | indent(99999999) }}"), "bytes");
  expect_contains(failure("{{ [1] | batch(9999999999, 'x') | list }}"), "too long");
  expect_contains(failure("{{ ('x' * 9999).replace('', 'y' * 9999) }}"), "bytes");
  expect_contains(failure("{{ ('y' * 9999).join('x' * 9999) }}"), "bytes");
  expect_contains(failure("{{ '\t'.expandtabs(99999999) }}"), "bytes");
  expect_contains(failure("{{ ('<' * 9999999)|e }}"), "bytes");
  expect_contains(failure("{{ {'a': '<' * 9999999}|xmlattr }}"), "bytes");
  expect_contains(failure("{{ ('a ' * 9999)|wordwrap(1, wrapstring='y' * 9999) }}"), "bytes");
  expect_contains(failure("{{ ('<' * 9999).replace('<', '<'|safe * 9999) }}"), "bytes");
  expect_contains(failure("{{ ('x' * 9999).translate({120: 'y' * 9999}) }}"), "bytes");
  expect_contains(failure("{% block b %}{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}"
                          "{% endblock %}"),
                  "bytes");
  expect_contains(failure("{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}"), "bytes");
  expect_contains(failure("{% set ns = namespace(s='x') %}{% for i in range(99) %}"
                          "{% set ns.s = ns.s + ns.s %}{% endfor %}"),
                  "bytes");
}

TEST(JinjaLimits, SmallValuesWithHugeReprAreRefused) {
  const std::string doubling =
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}";
  failure(doubling + "{{ ns.l }}");
  failure(doubling + "{{ ns.l | tojson }}");
  failure(doubling + "{{ ns.l | pprint }}");
  failure(doubling + "{{ ns.l | e }}");
  failure(doubling + "{{ ns.l == [ns.l[0], ns.l[1]] }}" + "{% set a = ns.l %}" + doubling +
          "{{ a == ns.l }}");
}

TEST(JinjaLimits, DeepValuesAreRefused) {
  expect_contains(failure("{% set ns = namespace(l=[]) %}{% for i in range(99999) %}"
                          "{% set ns.l = [ns.l] %}{% endfor %}"),
                  "nest deeper");
  expect_contains(failure("{% set ns = namespace(l={}) %}{% for i in range(99999) %}"
                          "{% set ns.l = {'a': ns.l.get} %}{% endfor %}"),
                  "nest deeper");
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
  EXPECT_THROW(render("{{ x }}", {{"x", deep}}), Error);
}

TEST(JinjaLimits, ContainersThatContainThemselvesAreHandled) {
  failure("{% set l = [] %}{{ l.append(l) }}{{ l }}");
  failure("{% set d = {} %}{{ d.update(x=d) }}{{ d | tojson }}");
  failure("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}");
  EXPECT_EQ(render("{% set l = [] %}{% if l.append(l) %}{% endif %}{{ l | length }}"), "1");
  // A chain that is built from the outside in: nothing on the way is deep when it is added.
  EXPECT_EQ(
      render("{% set ns = namespace(l=[]) %}{% set first = ns.l %}{% for i in range(50000) %}"
             "{% set inner = [] %}{% if ns.l.append(inner) %}{% endif %}{% set ns.l = inner %}"
             "{% endfor %}{{ first | length }}"),
      "1");
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% for i in [1] %}{% set ns.l = loop %}{% set l = ns.l %}"
             "{% macro m() %}{{ m }}{% endmacro %}{% set ns.m = m %}{{ loop.changed(loop) }}"
             "{% endfor %}{{ ns.l.cycle(1) }}"),
      "True1");
}

TEST(JinjaLimits, ListsAndDictionariesCanBeChanged) {
  EXPECT_EQ(
      render("{% set l = [1] %}{% set _ = l.append(2) %}{% set _ = l.extend([3, 4]) %}{{ l.pop() }}"
             "{{ l.pop(0) }}{% set _ = l.insert(0, 'x') %}{% set _ = l.reverse() %}{{ l }}"),
      "41[3, 2, 'x']");
  EXPECT_EQ(render("{% set d = {'a': 1} %}{% set _ = d.update({'b': 2}, c=3) %}{{ d.pop('a') }}"
                   "{{ d.setdefault('z', 9) }}{{ d.pop('q', 0) }}{{ d }}"),
            "190{'b': 2, 'c': 3, 'z': 9}");
  failure("{{ [].pop() }}");
  failure("{{ (1, 2).append(3) }}");
  // A loop goes over the items that were there when it began.
  EXPECT_EQ(
      render("{% set l = [1, 2] %}{% for x in l %}{% set _ = l.append(x) %}{% endfor %}{{ l }}"),
      "[1, 2, 1, 2]");
}

TEST(JinjaLimits, BadUtf8BecomesTheReplacementCharacter) {
  EXPECT_EQ(render("a\xff{{ x }}\xc3", {{"x", "\xe2\x82"}}),
            "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(render(R"({{ '\ud800' | length }})"), "1");
}

}  // namespace
}  // namespace tessera::jinja
