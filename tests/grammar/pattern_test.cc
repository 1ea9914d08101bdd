#include "grammar/pattern.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>
#include <vector>

#include "grammar/formats.h"
#include "grammar/number_set.h"

namespace tessera::grammar {
namespace {

// Texts of the letters that the patterns are about.
std::string random_text(std::mt19937& random) {
  constexpr std::string_view kLetters = "aabbc01-_. \nA";
  std::string text;
  for (size_t length = random() % 9; length > 0; --length)
    text += kLetters[random() % kLetters.size()];
  return text;
}

TEST(Pattern, FindsWhatTheStandardLibraryFinds) {
  std::mt19937 random(11);
  for (const char* pattern : {"a",
                              "^a",
                              "a$",
                              "^a$",
                              "^$",
                              "a|^b$",
                              "(a|b)*c",
                              "^(?:ab?)+$",
                              "^[^a]{2,3}$",
                              "^.*$",
                              "^\\w+$",
                              "\\d\\D",
                              "\\s",
                              "^a*?b",
                              "a{2}",
                              "^(a{0,2}b){2,}$",
                              "\\bab",
                              "ab\\b",
                              "a\\Bb",
                              "^(?=.*a)(?=.*b)[ab0]+$",
                              "^(?!a)",
                              "^(?!.*aa)[ab]+$",
                              "^((?!ab)[abc])*$",
                              "a(?=b)",
                              "a(?!b)",
                              "(?=a)(b|ab)",
                              "^(a(?!c)|b)+$",
                              "[a-c_]-[^-]",
                              "[.-]",
                              "(^a|b$)+",
                              "()",
                              "x|"}) {
    const Language language = pattern_language(pattern);
    const std::regex expected(pattern, std::regex::ECMAScript);
    for (int i = 0; i < 400; ++i) {
      const std::string text = random_text(random);
      EXPECT_EQ(language.contains(text), std::regex_search(text, expected))
          << pattern << " in '" << text << "'";
    }
  }
}

TEST(Pattern, LooksBehind) {
  const Language language = pattern_language("(?<=a)b|(?<!a|^)c");
  EXPECT_TRUE(language.contains("ab"));
  EXPECT_FALSE(language.contains("bb"));
  EXPECT_TRUE(language.contains("bc"));
  EXPECT_FALSE(language.contains("ac"));
  EXPECT_FALSE(language.contains("c"));
}

TEST(Language, IsClosedUnderSetOperations) {
  std::mt19937 random(5);
  const std::vector<Language> languages = {
      pattern_language("a"),
      pattern_language("^b*$"),
      Language::of_lengths(2, 4),
      Language::of(std::vector<std::string>{"", "ab", "a-b", "é"}),
      Language::all(),
      Language::none()};
  for (const Language& a : languages) {
    for (const Language& b : languages) {
      const Language both = a & b, either = a | b, rest = a.minus(b);
      for (int i = 0; i < 100; ++i) {
        const std::string text = random_text(random);
        const bool in_a = a.contains(text), in_b = b.contains(text);
        EXPECT_EQ(both.contains(text), in_a && in_b);
        EXPECT_EQ(either.contains(text), in_a || in_b);
        EXPECT_EQ(rest.contains(text), in_a && !in_b);
      }
      EXPECT_TRUE((both & rest).empty());
    }
  }
}

TEST(Language, KnowsItsTexts) {
  const Language few = pattern_language("^(a|bc){1,2}$");
  EXPECT_EQ(few.shortest(), 1u);
  EXPECT_EQ(few.longest(), 4u);
  EXPECT_EQ(few.texts(10)->size(), 6u);
  EXPECT_FALSE(few.texts(5));
  EXPECT_FALSE(pattern_language("a").longest());
}

// Every number of up to three digits and three decimals, beside arithmetic in thousandths.
TEST(NumberSet, HoldsWhatArithmeticSays) {
  const auto decimal = [](const char* text) {
    return decimal_of(nlohmann::ordered_json::parse(text));
  };
  NumberSet bounds;
  bounds.min = {decimal("-1.25"), false};
  bounds.max = {decimal("20.5"), true};
  NumberSet multiples = bounds;
  multiples.multiples_of = {decimal("0.75")};
  NumberSet others = bounds;
  others.no_multiples_of = {decimal("0.75")};
  others.without = {decimal("3.1")};
  others.broken = true;
  const Language within = number_language(bounds), divided = number_language(multiples),
                 rest = number_language(others);
  for (int thousandths = -3'000; thousandths < 30'000; thousandths += 25) {
    const std::string text =
        fmt::format("{}{}.{:03}", thousandths < 0 ? "-" : "", std::abs(thousandths) / 1000,
                    std::abs(thousandths) % 1000);
    const bool is_within = thousandths >= -1'250 && thousandths < 20'500;
    if (thousandths < 0 && thousandths > -1000) continue;  // -0.5 and its kin, below
    EXPECT_EQ(within.contains(text), is_within) << text;
    EXPECT_EQ(divided.contains(text), is_within && thousandths % 750 == 0) << text;
    EXPECT_EQ(rest.contains(text), is_within && thousandths % 750 != 0 && thousandths != 3'100 &&
                                       thousandths % 1000 != 0)
        << text;
  }
  EXPECT_TRUE(within.contains("-0.5"));
  EXPECT_TRUE(divided.contains("-0.75"));
  EXPECT_FALSE(within.contains("1e1"));
}

// Multiples of any number of units, up to the digits that their count leaves.
TEST(NumberSet, HoldsMultiplesOfManyUnits) {
  for (const int units : {1, 7, 10, 64, 96, 100, 125, 250, 1000, 1024, 2500, 4096, 4999, 5000}) {
    NumberSet set;
    set.multiples_of = {decimal_of(units)};
    NumberSet rest;
    rest.whole = true;
    rest.no_multiples_of = set.multiples_of;
    const Language multiples = number_language(set), others = number_language(rest);
    for (int number = -9'999; number < 10'000; ++number) {
      EXPECT_EQ(multiples.contains(std::to_string(number)), number % units == 0) << units;
      EXPECT_EQ(others.contains(std::to_string(number)), number % units != 0) << units;
    }
  }
}

TEST(Decimal, IsWrittenInFull) {
  const auto text = [](const char* number) {
    return decimal_of(nlohmann::ordered_json::parse(number)).text();
  };
  EXPECT_EQ(text("-12.50"), "-12.5");
  EXPECT_EQ(text("1e-7"), "0.0000001");
  EXPECT_EQ(text("1.5e3"), "1500");
  EXPECT_EQ(text("-0.0"), "0");
  EXPECT_EQ(text("18446744073709551615"), "18446744073709551615");
}

TEST(Formats, KnowWhatIsOfThem) {
  const auto is = [](const char* format, const char* text) {
    return find_format(format)->language.contains(text);
  };
  EXPECT_EQ(find_format("color"), nullptr);
  EXPECT_TRUE(is("date", "2000-02-29"));
  EXPECT_FALSE(is("date", "1900-02-29"));
  EXPECT_TRUE(is("ipv6", "fe80::1:2"));
  EXPECT_FALSE(is("ipv6", "1:2:3:4:5:6:7::8:9"));
  EXPECT_TRUE(is("hostname", "a.example.org"));
  EXPECT_FALSE(is("hostname", "xn--a.org"));
  EXPECT_TRUE(is("uri", "http://me@a.b:80/a%20b?c#d"));
  EXPECT_FALSE(is("uri", "http://a b"));
  EXPECT_TRUE(is("uri-template", "/a/{b,c:3}{?d*}"));
  EXPECT_TRUE(is("regex", "^(a|[b-d]+)\\d{2,}$") || is("regex", "^(a|[a-z]+)\\d{2,}$"));
  EXPECT_FALSE(is("regex", "(a"));
  for (const char* each : {"^", "^a$", "a^$b", "(^a|b$)*", "(^)?"})
    EXPECT_TRUE(is("regex", each)) << each;
  for (const char* each : {"^*", "$+", "a$?", "(^{2})", "a|$*", "(?:a|^+?)"})
    EXPECT_FALSE(is("regex", each)) << each;
  EXPECT_TRUE(is("duration", "P1Y2M3DT4H"));
  EXPECT_FALSE(is("duration", "P1YT"));
}

}  // namespace
}  // namespace tessera::grammar
