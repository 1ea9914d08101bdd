// check_schemas FILE [--failures] [--undeclared] [--answers]: compiles JSON schemas and walks
// instances through them. FILE is in lines of JSON, each {"name", "schema", "tests": [{"data",
// "valid"}]}; instances are read as Python's json.dumps writes them. Prints what compiled, what
// passed (every instance as it should be), what was accepted though it is invalid, and what
// compiling took; with --failures also a line of JSON for each schema that did not pass, or took
// long; with --undeclared, properties that a schema neither declares nor forbids are allowed; with
// --answers, also some random answers of each grammar, for a validator. For bench/schemas.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/grammar_support.h"
#include "grammar/json_schema.h"

namespace {

using Json = nlohmann::ordered_json;

constexpr double kSlow = 20;  // milliseconds

// With a space after commas and colons.
std::string spaced(const Json& value) {
  std::string out;
  if (value.is_object()) {
    for (const auto& [name, member] : value.items())
      out += (out.empty() ? "" : ", ") + Json(name).dump() + ": " + spaced(member);
    return "{" + out + "}";
  }
  if (!value.is_array()) return value.dump();
  for (const Json& item : value) out += (out.empty() ? "" : ", ") + spaced(item);
  return "[" + out + "]";
}

struct Counts {
  size_t schemas = 0, compiled = 0, passed = 0;
  size_t valid = 0, valid_accepted = 0, invalid = 0, invalid_accepted = 0;
  std::vector<double> milliseconds;
  bool answers = false;
  tessera::grammar::Undeclared undeclared = tessera::grammar::Undeclared::kLeftOut;
};

// A text that the grammar matches, of random bytes; nullopt if it grows too long.
std::optional<std::string> random_text(const tessera::Grammar& grammar, std::mt19937& random) {
  constexpr size_t kPatience = 80, kLongest = 2000;
  tessera::grammar::Automaton automaton(grammar);
  auto state = automaton.start();
  std::string text;
  while (text.size() < kLongest) {
    std::vector<uint8_t> any, usual, closing;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (automaton.next(state, static_cast<uint8_t>(byte)) == tessera::grammar::Automaton::kDead)
        continue;
      any.push_back(static_cast<uint8_t>(byte));
      if (byte < 0x7F && byte > ' ' && byte != '\\') usual.push_back(any.back());
      if (std::string_view("\"}]:e").find(static_cast<char>(byte)) != std::string_view::npos)
        closing.push_back(any.back());
    }
    if (automaton.ends(state) && (any.empty() || text.size() > kPatience || random() % 4 == 0))
      return text;
    if (any.empty()) return std::nullopt;
    const bool ends = text.size() > kPatience && !closing.empty() && random() % 4 != 0;
    const auto& from = ends ? closing : usual.empty() || random() % 16 == 0 ? any : usual;
    const uint8_t byte = from[random() % from.size()];
    text += static_cast<char>(byte);
    state = automaton.next(state, byte);
  }
  return std::nullopt;
}

// What is wrong with it; empty: nothing.
std::string check(const Json& line, Counts& counts) {
  ++counts.schemas;
  const std::clock_t begin = std::clock();
  const auto took = [&] {
    counts.milliseconds.push_back(1000.0 * static_cast<double>(std::clock() - begin) /
                                  CLOCKS_PER_SEC);
  };
  std::shared_ptr<const tessera::Grammar> grammar;
  try {
    const std::string schema = line.at("schema").dump();
    grammar = std::make_shared<const tessera::Grammar>(
        tessera::grammar::schema_syntax(schema, counts.undeclared));
    took();
  } catch (const tessera::Error& error) {
    took();
    return std::string("refused: ") + error.what();
  }
  ++counts.compiled;
  if (counts.answers) {
    Json answers = Json::array();
    std::mt19937 random(7);
    for (int i = 0; i < 8; ++i)
      if (const auto text = random_text(*grammar, random)) answers.push_back(*text);
    std::cout << Json{{"name", line.value("name", "")}, {"answers", answers}}.dump(
                     -1, ' ', false, Json::error_handler_t::replace)
              << '\n';
  }
  std::string wrong;
  for (const Json& test : line.at("tests")) {
    const std::string text = spaced(test.at("data"));
    const bool valid = test.at("valid"), accepted = tessera::testing::matches(*grammar, text);
    ++(valid ? counts.valid : counts.invalid);
    if (accepted) ++(valid ? counts.valid_accepted : counts.invalid_accepted);
    if (accepted != valid && (wrong.empty() || accepted))  // the worse one
      wrong = (valid ? "not accepted: " : "accepted: ") + text.substr(0, 2000);
  }
  if (wrong.empty()) ++counts.passed;
  return wrong;
}

void print(Counts& counts) {
  auto& times = counts.milliseconds;
  std::ranges::sort(times);
  const auto quantile = [&](double q) {
    return times[static_cast<size_t>(q * static_cast<double>(times.size() - 1))];
  };
  const auto percent = [](size_t part, size_t whole) {
    return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  std::printf("%zu schemas: %zu compiled (%.2f %%), %zu passed (%.2f %%)\n", counts.schemas,
              counts.compiled, percent(counts.compiled, counts.schemas), counts.passed,
              percent(counts.passed, counts.schemas));
  std::printf("%zu of %zu valid instances accepted, %zu of %zu invalid ones (%.3f %%)\n",
              counts.valid_accepted, counts.valid, counts.invalid_accepted, counts.invalid,
              percent(counts.invalid_accepted, counts.invalid));
  if (times.empty()) return;
  std::printf("processor time to compile in ms: p50 %.2f, p90 %.2f, p99 %.2f, worst %.1f\n",
              quantile(0.5), quantile(0.9), quantile(0.99), times.back());
}

}  // namespace

int main(int count, char** arguments) {
  bool failures = false;
  Counts counts;
  for (int i = 2; i < count; ++i) {
    const std::string_view option = arguments[i];
    failures |= option == "--failures";
    if (option == "--undeclared") counts.undeclared = tessera::grammar::Undeclared::kGenerated;
    counts.answers |= option == "--answers";
    if (option != "--failures" && option != "--undeclared" && option != "--answers") count = 0;
  }
  if (count < 2) {
    std::fputs("usage: check_schemas FILE [--failures] [--undeclared] [--answers]\n", stderr);
    return 2;
  }
  try {
    std::ifstream file(arguments[1]);
    if (!file) tessera::fail("{}: cannot be read", arguments[1]);
    for (std::string line; std::getline(file, line);) {
      const Json each = Json::parse(line);
      const std::string wrong = check(each, counts);
      const double took = counts.milliseconds.back();
      if (failures && (!wrong.empty() || took > kSlow)) {
        const Json failure = {
            {"name", each.value("name", "")}, {"wrong", wrong}, {"milliseconds", took}};
        std::cout << failure.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
      }
    }
    std::cout.flush();
    print(counts);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
