#include "grammar/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/grammar_support.h"
#include "grammar/schema_check.h"

namespace tessera {
namespace {

using testing::CheckedJson;
using ::testing::HasSubstr;
using testing::matches;
using ::testing::Not;

struct Case {
  const char* schema;
  std::vector<std::string> valid, invalid;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {R"({"type": "null"})", {"null"}, {"", "nul", "true", "null "}},
      {R"({"type": "boolean"})", {"true", "false"}, {"True", "1"}},
      {R"({"type": "integer"})",
       {"0", "-1", "10", "1234567890123456"},
       {"01", "1.0", "-", "+1", "1e3", "12345678901234567"}},
      {R"({"type": "number"})",
       {"0", "-1.5", "1e10", "2E-3", "0.001"},
       {".5", "1.", "1e", "1e999", "NaN"}},
      {R"({"type": "string"})",
       {R"("")", R"("a é 😀")", R"("\"\\\/\b\u00e9\uD83D\uDE00")"},
       {R"(")", R"("a)", "\"\n\"", R"("\x")", R"("\uD83D")", R"("\uDE00")", R"("\uD83D\u0041")",
        "'a'"}},
      {R"({"type": ["string", "null"]})", {"null", R"("x")"}, {"1"}},
      {R"({"enum": ["a", 1, null, {"b": [2]}]})",
       {R"("a")", "1", "null", R"({"b":[2]})"},
       {R"("b")", "2"}},
      {R"({"enum": ["a", 1], "type": "string"})", {R"("a")"}, {"1"}},
      {R"({"const": "it's \"x\"\n"})", {R"("it's \"x\"\n")"}, {R"("x")"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {R"("ab")", R"("日本語")", R"("\n\u0041")"},
       {R"("a")", R"("abcd")"}},
      {R"({"type": "string", "pattern": "^[a-c]{2}(-\\d+)?$"})",
       {R"("ab")", R"("cc-12")"},
       {R"("a")", R"("ab-")", R"("xab")"}},
      {R"({"type": "string", "pattern": "b+|^x"})",
       {R"("abbc")", R"("b")", R"("xyz")"},
       {R"("aca")", R"("yx")"}},
      {R"({"pattern": "^\"\\\\.[^a]$"})",
       {R"("\"\\zb")", R"("\"\\\"\n")"},
       {R"(""\zb")", R"("\"\\za")"}},
      {R"({"pattern": "^(?:\\w|\\s){3,}?$"})", {R"("a b")", R"("_\t9")"}, {R"("a-b")"}},
      {R"({"format": "date"})",
       {R"("2024-02-28")", R"("1999-12-31")"},
       {R"("2024-02-30")", R"("2024-13-01")", R"("24-01-01")"}},
      {R"({"format": "time"})",
       {R"("23:59:00Z")", R"("00:00:00.123+01:00")"},
       {R"("24:00:00Z")", R"("12:00")"}},
      {R"({"format": "date-time"})", {R"("2024-01-31T12:00:00Z")"}, {R"("2024-01-31")"}},
      {R"({"format": "uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123e4567")"}},
      {R"({"format": "ipv4"})",
       {R"("127.0.0.1")", R"("255.1.20.199")"},
       {R"("256.1.1.1")", R"("1.1.1")"}},
      {R"({"format": "email"})", {R"("a.b@example.org")"}, {R"("a@b")", R"("@example.org")"}},
      {R"({"type": "integer", "minimum": 7, "maximum": 1203})",
       {"7", "9", "10", "99", "100", "999", "1000", "1199", "1203"},
       {"6", "0", "-8", "1204", "1300", "2000", "07"}},
      {R"({"type": "integer", "minimum": -15, "exclusiveMaximum": 3})",
       {"-15", "-9", "-1", "0", "2"},
       {"-16", "3", "-20", "-0"}},
      {R"({"type": "integer", "exclusiveMinimum": -12, "maximum": -3})",
       {"-11", "-10", "-3"},
       {"-12", "-2", "0", "3"}},
      {R"({"type": "integer", "minimum": 95})", {"95", "99", "100", "123456"}, {"94", "9", "-95"}},
      {R"({"type": "integer", "minimum": 1.5, "maximum": 3.5})", {"2", "3"}, {"1", "4"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})",
       {"0", "1", "0.5", "1.0", "0.0"},
       {"-0.1", "1.1", "2", "-1"}},
      // With more digits they would be read as the bounds themselves.
      {R"({"type": "number", "exclusiveMinimum": 4, "exclusiveMaximum": 5})",
       {"4.5", "4.00000000000001", "4.99999999999999"},
       {"4", "5", "4.9999999999999999", "4.0000000000000001"}},
      {R"({"type": "number", "exclusiveMinimum": -5, "maximum": -4})",
       {"-4.99999999999999", "-4"},
       {"-5", "-4.9999999999999999"}},
      {R"({"type": "number", "exclusiveMinimum": 0})",
       {"0.5", "1", "10.25", "0.001"},
       {"0", "0.0", "-1"}},
      {R"({"type": "number", "minimum": -2, "exclusiveMaximum": 5})",
       {"-2", "-1.5", "-0.5", "0", "4.99"},
       {"-2.5", "5", "5.0"}},
      {R"({"type": "array"})",
       {"[]", "[1, \"a\", [], {}]", "[1,2]", "[\n  1\n]"},
       {"[", "[1,]", "[,]", "[1 2]"}},
      {R"({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3})",
       {"[true]", "[true, false,true]"},
       {"[]", "[1]", "[true,true,true,true]"}},
      {R"({"type": "array", "items": {"type": "null"}, "maxItems": 0})", {"[]"}, {"[null]"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false, "minItems": 2})",
       {R"([1, "a"])"},
       {"[1]", R"([1,"a",2])", R"(["a",1])"}},
      {R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "null"}})",
       {"[]", "[1]", R"([1, "a"])", R"([1,"a",null,null])"},
       {R"([1,null])", R"([1,"a",2])"}},
      {R"({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3, "maxItems": 4})",
       {"[1,2,2]", "[1,2,2,2]"},
       {"[1,2]", "[1,2,2,2,2]"}},
      {R"({"type": "object"})",
       {"{}", R"({"a": 1, "b": {"c": []}})", "{\n  \"a\":1\n}"},
       {"{", "[]", R"({"a"})", R"({"a":1,})", "{1:1}", "{} "}},
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a", "b"]})",
       {R"({"a": 1, "b": "x"})", R"({"a":1,"b":"x"})", R"({"b": "x", "a": 1})"},
       {R"({"a": 1})", R"({"b": "x", "a": 1, "b": "x"})", R"({"a":"x","b":"x"})",
        R"({"a":1,"b":"x","c":1})"}},
      {R"({"properties": {"a": {}, "b": {"const": 2}, "c": {"const": 3}}})",
       {"{}", R"({"a":1})", R"({"b":2})", R"({"c":3})", R"({"a":1,"b":2})", R"({"a":[],"c":3})",
        R"({"b":2,"c":3})", R"({"a":1,"b":2,"c":3})", R"({"b":2,"a":1})"},
       {R"({"b":2,"b":2})", R"({,"b":2})", R"({"a":1,})", R"({"d":1})"}},
      {R"({"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}, "d": {"const": 4}}, "required": ["c"]})",
       {R"({"c":3})", R"({"a":1,"c":3})", R"({"b":2,"c":3,"d":4})", R"({"a":1,"b":2,"c":3,"d":4})"},
       {"{}", R"({"a":1})", R"({"d":4})", R"({"a":1,"b":2})"}},
      {R"({"properties": {"ab": {"const": 1}, "a": {"const": 2}}, "required": ["ab"], "additionalProperties": {"type": "null"}})",
       {R"({"ab":1})", R"({"ab":1, "a":2})", R"({"ab":1,"b":null,"abc":null,"":null,"é":null})",
        R"({"ab":1,"a":2,"x":null})"},
       {R"({"x":null})", R"({"ab":1,"a":null})", R"({"ab":1,"x":1})", R"({"ab":1,"\u0061":null})",
        R"({"ab":1,"ab":null})"}},
      {R"({"properties": {"a": {"const": 1}}, "additionalProperties": true})",
       {"{}", R"({"a":1})", R"({"b":[1]})", R"({"a":1,"b":2,"c":3})", R"({"b":2,"a":1})"},
       {R"({"b":2,"a":2})", R"({"a":1,"b":2,"a":1})"}},
      {R"({"type": "object", "properties": {}})", {"{}"}, {R"({"a":1})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2})",
       {R"({"a":1})", R"({"a":1, "b":2})"},
       {"{}", R"({"a":"x"})", R"({"a":1,"b":2,"c":3})"}},
      {R"({"type": "object", "required": ["k"]})",
       {R"({"k":1})", R"({"k":[], "o":2})"},
       {"{}", R"({"o":2})"}},
      {R"({"properties": {"q\"\n": {"const": 1}}, "required": ["q\"\n"]})",
       {R"({"q\"\n":1})"},
       {"{}"}},
      {R"({"anyOf": [{"type": "integer"}, {"type": "string"}]})", {"1", R"("a")"}, {"null"}},
      {R"({"oneOf": [{"const": "a"}, {"const": "b"}]})", {R"("a")", R"("b")"}, {R"("c")"}},
      {R"({"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"], "anyOf": [{"properties": {"k": {"const": "x"}, "n": {"const": 1}}, "required": ["n"]}, {"properties": {"k": {"const": "y"}}}]})",
       {R"({"k":"x","n":1})", R"({"k":"y"})"},
       {R"({"k":"x"})", R"({"k":"z"})"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]})",
       {R"({"a":1,"b":null})"},
       {R"({"a":1})"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "additionalProperties": {"maxLength": 2}}, {"properties": {"b": {"type": "string", "minLength": 1}}, "required": ["b"]}]})",
       {R"({"b": "xy"})", R"({"a": 1, "b": "x"})", R"({"b": "x", "c": "yz"})"},
       {R"({"b": "xyz"})", R"({"b": ""})", R"({"b": "x", "c": "xyz"})"}},
      {R"({"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "minimum": 5, "maximum": 6}]})",
       {"5", "6"},
       {"4", "7", "5.5"}},
      {R"({"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["v", "next"]}}, "$ref": "#/$defs/n"})",
       {R"({"v":1,"next":null})", R"({"v": 1, "next": {"v": 2, "next": null}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#"}}}})",
       {"{}", R"({"c": [{}, {"c": [{}]}]})"},
       {R"({"c":[1]})"}},
      {R"({"definitions": {"a/b": {"const": 1}}, "properties": {"x": {"$ref": "#/definitions/a~1b", "description": "d"}}, "required": ["x"]})",
       {R"({"x":1})"},
       {R"({"x":2})"}},
      {R"({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a", "maxLength": 1})",
       {R"("x")"},
       {R"("xy")", "1"}},
      {R"({})", {"1", "{}", "[null]", R"("")"}, {"", "x"}},
      {R"(true)", {"1", "{}"}, {""}},
      {R"({"type": "string", "nullable": true, "title": "t", "default": "", "examples": [1], "$schema": "s"})",
       {"null", R"("a")"},
       {"1"}},
  };
  return all;
}

TEST(JsonSchema, MatchesWhatIsValidAndNothingElse) {
  for (const Case& c : cases()) {
    const auto grammar = compile_json_schema(c.schema);
    for (const std::string& text : c.valid)
      EXPECT_TRUE(matches(*grammar, text)) << c.schema << '\n' << text;
    for (const std::string& text : c.invalid)
      EXPECT_FALSE(matches(*grammar, text)) << c.schema << '\n' << text;
  }
}

TEST(JsonSchema, IntegersWithinAnyBounds) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const int a = static_cast<int>(random() % 2400) - 1200,
              b = static_cast<int>(random() % 2400) - 1200;
    const int low = std::min(a, b), high = std::max(a, b);
    const auto grammar = compile_json_schema(
        fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    for (const int n : {low - 1, low, low + 1, (low + high) / 2, high - 1, high, high + 1, -low, 0,
                        9, 10, 99, 100, 999, 1000})
      EXPECT_EQ(matches(*grammar, std::to_string(n)), low <= n && n <= high)
          << low << ' ' << high << ' ' << n;
  }
}

std::string error_of(const std::string& schema) {
  try {
    compile_json_schema(schema);
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "no error";
}

// What a schema allows of some texts, told by those that match.
void expect_matches(const char* schema, const std::vector<std::string>& valid,
                    const std::vector<std::string>& invalid) {
  const auto grammar = compile_json_schema(schema);
  for (const std::string& text : valid) EXPECT_TRUE(matches(*grammar, text)) << schema << text;
  for (const std::string& text : invalid) EXPECT_FALSE(matches(*grammar, text)) << schema << text;
}

// Numbers that are given are compared with bounds and multiples as they are, of any length.
TEST(JsonSchema, GivenNumbersAreComparedExactly) {
  expect_matches(R"({"oneOf":[{"const":123456789012345678},{"type":"integer","minimum":0}]})",
                 {"1", "12345678"}, {"123456789012345678"});
  expect_matches(R"({"oneOf":[{"const":10000000000},{"multipleOf":100}]})", {"100", "2500"},
                 {"10000000000", "50"});
  expect_matches(R"({"type":"integer","enum":[123456789012345678,-98765432109876543,0.5]})",
                 {"123456789012345678", "-98765432109876543"}, {"0.5"});
  expect_matches(R"({"enum":[1e300,1.5e300,12345678901234567890],"multipleOf":1e300})", {"1e+300"},
                 {"1.5e+300", "12345678901234567890", "1" + std::string(300, '0')});
  // As a double this would be another number.
  expect_matches(R"({"enum":[12345678901234567890]})", {"12345678901234567890"},
                 {"1.2345678901234567e+19"});
  expect_matches(R"({"enum":[0.3,0.35,18446744073709551615],"multipleOf":0.1})",
                 {"0.3", "18446744073709551615"}, {"0.35"});
  expect_matches(R"({"enum":[18446744073709551615,18446744073709551614,1],
                     "multipleOf":18446744073709551615})",
                 {"18446744073709551615"}, {"18446744073709551614", "1"});
  expect_matches(R"({"enum":[197530,98765,1],"multipleOf":98765,"not":{"const":98765}})",
                 {"197530"}, {"98765", "1"});
  expect_matches(R"({"enum":[1,2,2.5,3],"not":{"type":"integer"}})", {"2.5"}, {"1", "2", "3"});
}

TEST(JsonSchema, MultiplesReachBeyondTheirBounds) {
  expect_matches(R"({"multipleOf":1000,"minimum":1000000})",
                 {"1000000", "1001000", "77777000", "123456789000"}, {"1000001", "999000", "0"});
  // With a point they are read as doubles.
  expect_matches(R"({"multipleOf":7})", {"14.0", "700000000000000.0"}, {"9857771699602365.0"});
  expect_matches(R"({"multipleOf":5000})", {"0", "-5000", "5000", "1235000"}, {"1000", "12500"});
  expect_matches(R"({"multipleOf":1000,"maximum":-1000000})", {"-1000000", "-12345000"},
                 {"-999000", "1000000", "-1000500"});
  expect_matches(R"({"multipleOf":4096,"minimum":0,"maximum":1048576})",
                 {"0", "4096", "12288", "1044480", "1048576"}, {"-4096", "2048", "1052672"});
  expect_matches(R"({"multipleOf":0.0000000000001})", {"0", "5", "0.5"}, {});
  expect_matches(
      R"({"multipleOf":0.0000000000001,"minimum":0.0000000000005,"exclusiveMaximum":0.000000000001})",
      {"0.0000000000005", "0.0000000000009"}, {"0.00000000000055", "0", "0.000000000001"});
  expect_matches(R"({"type":"number","minimum":1e20})",
                 {"100000000000000000000", "999999999999999999999"}, {"99999999999999999999"});
  expect_matches(R"({"type":"number","not":{"type":"integer"},"minimum":1000000000})",
                 {"1000000000.5", "12345678901.5"}, {"1000000000", "999999999.5", "2000000000.0"});
}

// Where not all values of an alternative are known, another one may have them, too.
TEST(JsonSchema, ExactlyOneAlternativeFits) {
  expect_matches(R"({"oneOf":[{"type":"array","items":{"const":1},"maxItems":2},
                              {"type":"array","not":{"uniqueItems":true}}]})",
                 {"[]", "[1]"}, {"[1,1]"});
  expect_matches(R"({"oneOf":[{"type":"object","required":["a","b"],"properties":{"a":{},"b":{}}},
                     {"anyOf":[{"properties":{"a":{}},"required":["a"]},
                               {"properties":{"b":{}},"required":["b"]}],
                      "unevaluatedProperties":false}]})",
                 {R"({"a":1})", R"({"b":2})"}, {R"({"a":1,"b":2})"});
  expect_matches(
      R"({"oneOf":[{"type":["string","null"]},{"type":"string","not":{"format":"date"}}]})",
      {"null"}, {R"("x")"});
  expect_matches(R"({"oneOf":[{"type":["string","null"],"maxLength":1},
                              {"oneOf":[{"maxLength":3},{"type":"array"}]}]})",
                 {R"("xx")"}, {"null", R"("x")"});
  expect_matches(R"({"oneOf":[{"enum":[1,"x"]},{"type":"integer"}]})", {R"("x")", "2"}, {"1"});
  // Names that may be allowed, though not all of those that are allowed are known.
  EXPECT_THAT(error_of(R"({"type":"object","properties":{"x":{}},
                            "not":{"propertyNames":{"not":{"format":"date"}}}})"),
              HasSubstr("negation of 'propertyNames'"));
}

TEST(JsonSchema, ALongListOfConstantsIsOneOfThem) {
  std::string list;
  for (int i = 0; i < 500; ++i)
    list += fmt::format(R"({{"const":"country {0}","title":"{0}"}},)", i);
  const std::string schema =
      R"({"oneOf":[)" + list + R"({"enum":[1.0]},{"const":1},{"const":2},{"type":"null"}]})";
  expect_matches(schema.c_str(), {R"("country 0")", R"("country 499")", "2", "null"},
                 {"1", R"("country 500")"});
}

// Two properties of one name are one to whoever reads them.
TEST(JsonSchema, WhatSomePropertiesAreLikeHoldsOfOne) {
  constexpr const char* kSome =
      R"({"type":"object",{}"allOf":[{"not":{"additionalProperties":{"type":"string"}}},
          {"not":{"additionalProperties":{"type":"integer"}}}]})";
  const auto with = [&](const std::string& more) {
    std::string schema = kSome;
    return schema.replace(schema.find("{}"), 2, more);
  };
  expect_matches(with("").c_str(), {R"({"x":null})"},
                 {R"({"x":1,"x":"s"})", R"({"x":"s","x":1})", R"({"x":1})", "{}"});
  expect_matches(with(R"("properties":{"a":{},"b":{}},)").c_str(),
                 {R"({"a":1,"b":"s"})", R"({"a":null})", R"({"x":null,"a":1})"},
                 {R"({"x":1,"x":"s"})", R"({"a":1})"});
  EXPECT_THAT(error_of(with(R"("minProperties":2,)")), Not(HasSubstr("no error")));
  expect_matches(R"({"type":"object","not":{"anyOf":[{"propertyNames":{"not":{"enum":["a","c"]}}},
                       {"propertyNames":{"not":{"enum":["b","c"]}}}]}})",
                 {R"({"a":1,"b":2})", R"({"b":1,"a":2})", R"({"c":1})", R"({"c":1,"b":2})"},
                 {R"({"a":1,"a":2})", R"({"c":1,"c":2})", R"({"b":1})"});
}

TEST(JsonSchema, WhiteSpaceIsBounded) {
  const auto object = json_object_grammar();
  EXPECT_TRUE(matches(*object, "{\n\t\t\"a\": 1}"));
  EXPECT_FALSE(matches(*object, "{  \"a\":1}"));
  EXPECT_FALSE(matches(*object, "{\n\n\"a\":1}"));
  EXPECT_FALSE(matches(*object, "{\n" + std::string(40, ' ') + "\"a\":1}"));
  EXPECT_FALSE(matches(*object, " {}"));
  EXPECT_FALSE(matches(*object, "{}\n"));
}

// Whatever a model answers is valid JSON that keeps the schema.
TEST(JsonSchema, RandomAnswersAreValid) {
  const auto tokenizer = testing::json_tokenizer();
  StructuredOutput structured(*tokenizer);
  std::mt19937 random(7);
  for (const Case& c : cases()) {
    const auto source = structured.json_schema(c.schema);
    const CheckedJson schema = CheckedJson::parse(c.schema);
    const testing::SchemaCheck check(schema);
    int ended = 0;
    for (int i = 0; i < 4; ++i) {
      const auto answer = testing::random_answer(*source, *tokenizer, random);
      if (!answer) continue;
      ++ended;
      const auto value = CheckedJson::parse(*answer, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << c.schema << '\n' << *answer;
      EXPECT_TRUE(check.valid(value)) << c.schema << '\n' << *answer;
    }
    EXPECT_GT(ended, 0) << c.schema;
  }
}

TEST(JsonSchema, WhatWouldNotBeKeptIsRefusedByName) {
  for (const char* keyword : {"$dynamicRef", "$recursiveRef"}) {
    const std::string error =
        error_of(fmt::format(R"({{"properties":{{"a":{{"{}":"#"}}}}}})", keyword));
    EXPECT_THAT(error, HasSubstr(fmt::format("'{}' is not supported", keyword)));
    EXPECT_THAT(error, HasSubstr("#/properties/a"));
  }
  EXPECT_THAT(error_of(R"({"type":"array","uniqueItems":true})"), HasSubstr("'uniqueItems'"));
  EXPECT_THAT(error_of(R"({"type":"array","uniqueItems":false})"), HasSubstr("no error"));
  EXPECT_THAT(error_of(R"({"multipleOf":98765})"), HasSubstr("'multipleOf' 98765"));
  EXPECT_THAT(error_of(R"({"propertyNames":{"format":"uri"}})"), HasSubstr("'propertyNames'"));
  EXPECT_THAT(error_of(R"x({"pattern":"(a)\\1"})x"), HasSubstr("\\1 is not supported"));
  EXPECT_THAT(error_of(R"x({"pattern":"\\p{L}"})x"), HasSubstr("\\p is not supported"));
  EXPECT_THAT(error_of(R"x({"pattern":"(?i)a"})x"), HasSubstr("kind of group"));
  EXPECT_THAT(error_of(R"x({"pattern":"(?<=a(?=b))b"})x"), HasSubstr("back and ahead"));
  EXPECT_THAT(error_of(R"({"pattern":"(a"})"), HasSubstr("expected ')'"));
  EXPECT_THAT(error_of(R"({"pattern":"[a"})"), HasSubstr("expected ']'"));
  EXPECT_THAT(error_of(R"({"$ref":"http://x/y"})"), HasSubstr("http://x/y"));
  // One name that comes twice is one property.
  EXPECT_THAT(error_of(R"({"minProperties":2})"), HasSubstr("'minProperties' of more than 1"));
}

TEST(JsonSchema, ErrorsSayWhatIsTheMatter) {
  const std::string negation = error_of(R"({"type":"string","not":{"format":"email"}})");
  EXPECT_THAT(negation, HasSubstr("negation of 'format'"));
  EXPECT_THAT(negation, Not(HasSubstr("contradict")));
  EXPECT_THAT(error_of(R"({"type":"string","not":{"minLength":0}})"), HasSubstr("contradict"));
  std::string chain = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 300; ++i)
    chain += fmt::format(R"("d{}":{{"$ref":"#/$defs/d{}"}},)", i, i + 1);
  chain += R"("d300":{}}})";
  EXPECT_THAT(error_of(chain), HasSubstr("more than 200 schemas"));
  EXPECT_THAT(error_of(chain), Not(HasSubstr("circle")));
  std::string items = "0";
  for (int i = 1; i < 300; ++i) items += ",0";
  for (const char* around : {"[{}]", R"({"k":[{}]})"}) {
    std::string value = around;
    value.replace(value.find("{}"), 2, items);
    const std::string error = error_of(R"({"properties":{"p":{"const":)" + value + "}}}");
    EXPECT_THAT(error, HasSubstr("#/properties/p: a constant array of more than 256 items"));
    EXPECT_THAT(error, Not(HasSubstr("prefixItems")));
  }
}

TEST(JsonSchema, MalformedSchemasAreRefused) {
  EXPECT_THAT(error_of("{"), HasSubstr("not JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("expected an object, found array"));
  EXPECT_THAT(error_of("false"), HasSubstr("nothing is valid"));
  EXPECT_THAT(error_of(R"({"type":"strin"})"), HasSubstr("there is no type"));
  EXPECT_THAT(error_of(R"({"type":[]})"), HasSubstr("empty list"));
  EXPECT_THAT(error_of(R"({"$ref":"#/$defs/x"})"), HasSubstr("leads nowhere"));
  EXPECT_THAT(error_of(R"({"enum":[]})"), HasSubstr("nothing is valid"));
  EXPECT_THAT(error_of(R"({"anyOf":[]})"), HasSubstr("'anyOf'"));
  EXPECT_THAT(error_of(R"({"properties":[]})"), HasSubstr("'properties'"));
  EXPECT_THAT(error_of(R"({"required":"a"})"), HasSubstr("'required'"));
  EXPECT_THAT(error_of(R"({"type":"string","minLength":-1})"), HasSubstr("no count"));
  EXPECT_THAT(error_of(R"({"type":"string","minLength":3,"maxLength":2})"),
              HasSubstr("contradict"));
  EXPECT_THAT(error_of(R"({"type":"integer","minimum":3,"maximum":2})"), HasSubstr("contradict"));
  EXPECT_THAT(error_of(R"({"type":"integer","minimum":"3"})"), HasSubstr("no number"));
  EXPECT_THAT(error_of(R"({"required":["a"],"additionalProperties":false})"),
              HasSubstr("contradict"));
  EXPECT_THAT(error_of(R"({"allOf":[{"type":"string"},{"type":"null"}]})"),
              HasSubstr("contradict"));
}

TEST(JsonSchema, HostileSchemasAreAnsweredQuickly) {
  EXPECT_THAT(error_of(R"({"$ref":"#"})"), HasSubstr("circle"));
  EXPECT_THAT(error_of(R"({"allOf":[{"$ref":"#"},{"$ref":"#"}]})"), HasSubstr("circle"));
  EXPECT_THAT(error_of(R"({"type":"object","anyOf":[{"$ref":"#"},{"$ref":"#"}]})"),
              HasSubstr("json_schema"));
  EXPECT_THAT(error_of(R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})"),
              HasSubstr("never end"));
  EXPECT_THAT(error_of(std::string(100'000, '[')), HasSubstr("nested"));
  EXPECT_THAT(error_of(R"({"type":"string","minLength":1e18})"), HasSubstr("at least"));
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 40; ++i)
    doubling += fmt::format(
        R"("d{0}":{{"type":"object","anyOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}},)",
        i, i + 1);
  EXPECT_THAT(error_of(doubling + R"("d40":{"type":"object"}}})"), HasSubstr("json_schema"));
  std::string nested = "{}";
  for (int i = 0; i < 50; ++i) nested = fmt::format(R"({{"type":"array","items":{}}})", nested);
  EXPECT_THAT(error_of(nested), HasSubstr("no error"));
  const auto numbers = [](int first, int last) {
    std::string list = std::to_string(first);
    while (++first <= last) list += fmt::format(",{}", first);
    return list;
  };
  std::string intersections =
      fmt::format(R"({{"$defs":{{"a":{{"enum":[{}]}},"b":{{"enum":[{}]}}}},)", numbers(1, 9'000),
                  numbers(2, 9'001));
  intersections += R"("allOf":[{"$ref":"#/$defs/a"})";
  for (int i = 0; i < 400; ++i) intersections += R"(,{"$ref":"#/$defs/b"},{"$ref":"#/$defs/a"})";
  EXPECT_THAT(error_of(intersections + "]}"), HasSubstr("too much work"));
  std::string wide = "{\"properties\":{";
  for (int i = 0; i < 900; ++i)
    wide += fmt::format("{}\"property_{}\":{{\"type\":\"string\"}}", i > 0 ? "," : "", i);
  EXPECT_THAT(error_of(wide + "}}"), HasSubstr("no error"));
  EXPECT_THAT(error_of(wide + "},\"additionalProperties\":true}"), HasSubstr("no error"));
}

}  // namespace
}  // namespace tessera
