#include "grammar/function_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/grammar_support.h"
#include "support/error_of.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;
using testing::matches;

FunctionCalls calls_of(std::vector<FunctionCalls::Function> functions, int most = 1) {
  return {.functions = std::move(functions),
          .open = "<f>",
          .between = " ",
          .close = "</f>",
          .most = most,
          .separator = ";"};
}

bool allow(const FunctionCalls& calls, std::string_view text) {
  return matches(*compile_function_calls(calls), text);
}

constexpr const char* kCity =
    R"({"type": "object", "properties": {"city": {"$ref": "#/$defs/name"}}, "required": ["city"],
        "$defs": {"name": {"enum": ["Rome", "Oslo"]}}})";

TEST(FunctionCalls, EachFunctionTakesItsOwnParameters) {
  // The same reference means another thing in each schema.
  constexpr const char* kPerson =
      R"({"properties": {"who": {"$ref": "#/$defs/name"}}, "$defs": {"name": {"const": "Ann"}}})";
  const FunctionCalls calls = calls_of({{"weather", kCity}, {"call", kPerson}});
  EXPECT_TRUE(allow(calls, R"(<f>"weather" {"city": "Oslo"}</f>)"));
  EXPECT_TRUE(allow(calls, R"(<f>"call" {"who": "Ann"}</f>)"));
  EXPECT_TRUE(allow(calls, R"(<f>"call" {}</f>)"));
  EXPECT_FALSE(allow(calls, R"(<f>"call" {"city": "Oslo"}</f>)"));
  EXPECT_FALSE(allow(calls, R"(<f>"call" {"who": "Rome"}</f>)"));
  EXPECT_FALSE(allow(calls, R"(<f>"weather" {}</f>)"));
  EXPECT_FALSE(allow(calls, R"(<f>"other" {}</f>)"));
  EXPECT_FALSE(allow(calls, R"(<f>"weather" {"city": "Oslo"})"));
  EXPECT_FALSE(allow(calls, ""));
}

TEST(FunctionCalls, AsManyAsAreAllowed) {
  const std::string one = R"(<f>"weather" {"city": "Oslo"}</f>)";
  EXPECT_FALSE(allow(calls_of({{"weather", kCity}}), one + ";" + one));
  const FunctionCalls three = calls_of({{"weather", kCity}}, 3);
  EXPECT_TRUE(allow(three, one));
  EXPECT_TRUE(allow(three, one + ";" + one + ";" + one));
  EXPECT_FALSE(allow(three, one + ";" + one + ";" + one + ";" + one));
  EXPECT_FALSE(allow(three, one + ";"));
}

TEST(FunctionCalls, ArgumentsAreObjects) {
  for (const char* parameters : {"{}", R"({"type": ["object", "null"]})",
                                 R"({"anyOf": [{"properties": {"a": {"type": "integer"}},
                                                "required": ["a"]}, {"required": ["b"]}]})",
                                 R"({"$ref": "#/$defs/x", "$defs": {"x": {"nullable": true,
                                     "properties": {"a": {"type": "integer"}}}}})"}) {
    const FunctionCalls calls = calls_of({{"f", parameters}});
    EXPECT_TRUE(allow(calls, R"(<f>"f" {"a": 1}</f>)")) << parameters;
    for (const char* other : {"null", "\"a\"", "1", "[]"})
      EXPECT_FALSE(allow(calls, fmt::format("<f>\"f\" {}</f>", other))) << parameters << other;
  }
  const FunctionCalls none = calls_of({{"f", ""}});
  EXPECT_TRUE(allow(none, R"(<f>"f" {}</f>)"));
  EXPECT_FALSE(allow(none, R"(<f>"f" {"a": 1}</f>)"));
}

TEST(FunctionCalls, ThereMayBeAFormInstead) {
  FunctionCalls calls = calls_of({{"weather", kCity}}, 2);
  const std::string call = R"(<f>"weather" {"city": "Oslo"}</f>)";
  calls.or_json_schema = R"({"enum": ["none", 7]})";
  EXPECT_TRUE(allow(calls, call));
  EXPECT_TRUE(allow(calls, R"("none")"));
  EXPECT_TRUE(allow(calls, "7"));
  EXPECT_FALSE(allow(calls, "7" + call));
  EXPECT_FALSE(allow(calls, call + "7"));
  calls.or_json_schema = "";
  calls.or_grammar = "root ::= word \".\"\nword ::= [a-z]+";
  EXPECT_TRUE(allow(calls, call));
  EXPECT_TRUE(allow(calls, "nothing."));
  EXPECT_FALSE(allow(calls, "nothing"));
}

TEST(FunctionCalls, NamesAreWrittenAsJson) {
  EXPECT_TRUE(allow(calls_of({{"a\"b\\c", ""}}), R"(<f>"a\"b\\c" {}</f>)"));
}

TEST(FunctionCalls, ErrorsNameTheFunction) {
  const auto error_of_parameters = [](const char* parameters) {
    return error_of([&] { compile_function_calls(calls_of({{"f", ""}, {"g", parameters}})); });
  };
  EXPECT_THAT(error_of_parameters(R"({"type": "string"})"), HasSubstr("'g'"));
  EXPECT_THAT(error_of_parameters(R"({"type": 5})"), HasSubstr("'g'"));
  EXPECT_THAT(error_of_parameters("[]"), HasSubstr("'g'"));
  EXPECT_THAT(error_of_parameters("{"), HasSubstr("'g'"));
  EXPECT_THAT(error_of_parameters(R"({"properties": {"a": {"$dynamicRef": "#a"}}})"),
              HasSubstr("'$dynamicRef'"));
}

TEST(FunctionCalls, EqualFormsAreShared) {
  const auto tokenizer = testing::json_tokenizer();
  StructuredOutput structured(*tokenizer);
  const auto source = structured.function_calls(calls_of({{"f", kCity}}));
  EXPECT_EQ(source, structured.function_calls(calls_of({{"f", kCity}})));
  EXPECT_NE(source, structured.function_calls(calls_of({{"f", kCity}}, 2)));
  EXPECT_NE(source, structured.function_calls(calls_of({{"g", kCity}})));
}

}  // namespace
}  // namespace tessera
