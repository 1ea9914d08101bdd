// check_schemas FILE [--failures]: compiles JSON schemas and walks instances through them. FILE is
// in lines of JSON, each {"name", "schema", "tests": [{"data", "valid"}]}; instances are read as
// Python's json.dumps writes them. Prints what compiled, what passed (every instance as it should
// be), what was accepted though it is invalid, and how long compiling took; with --failures also a
// line of JSON for each schema that did not pass. For bench/schemas.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/grammar_support.h"

namespace {

using Json = nlohmann::ordered_json;

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
};

// What is wrong with it; empty: nothing.
std::string check(const Json& line, Counts& counts) {
  ++counts.schemas;
  const auto begin = std::chrono::steady_clock::now();
  const auto took = [&] {
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    counts.milliseconds.push_back(time.count());
  };
  std::shared_ptr<const tessera::Grammar> grammar;
  try {
    const std::string schema = line.at("schema").dump();
    grammar = tessera::compile_json_schema(schema);
    took();
  } catch (const tessera::Error& error) {
    took();
    return std::string("refused: ") + error.what();
  }
  ++counts.compiled;
  std::string wrong;
  for (const Json& test : line.at("tests")) {
    const std::string text = spaced(test.at("data"));
    const bool valid = test.at("valid"), accepted = tessera::testing::matches(*grammar, text);
    ++(valid ? counts.valid : counts.invalid);
    if (accepted) ++(valid ? counts.valid_accepted : counts.invalid_accepted);
    if (accepted != valid && wrong.empty())
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
  std::printf("compile time in ms: p50 %.2f, p90 %.2f, p99 %.2f, worst %.1f\n", quantile(0.5),
              quantile(0.9), quantile(0.99), times.back());
}

}  // namespace

int main(int count, char** arguments) {
  const bool failures = count == 3 && std::string_view(arguments[2]) == "--failures";
  if (count != 2 && !failures) {
    std::fputs("usage: check_schemas FILE [--failures]\n", stderr);
    return 2;
  }
  try {
    Counts counts;
    std::ifstream file(arguments[1]);
    if (!file) tessera::fail("{}: cannot be read", arguments[1]);
    for (std::string line; std::getline(file, line);) {
      const Json each = Json::parse(line);
      const std::string wrong = check(each, counts);
      if (failures && !wrong.empty()) {
        const Json failure = {{"name", each.value("name", "")}, {"wrong", wrong}};
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
