// Grammars come from strangers: none may take much work or memory, whatever it says. Work is
// counted, not timed.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <new>
#include <random>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "checkpoint/byte_alphabet.h"
#include "grammar/grammar_support.h"
#include "grammar/shared_grammar.h"

namespace {

// Allocations of this thread to come before one fails; negative: none does.
thread_local int allocations_left = -1;
thread_local bool allocation_failed = false;
// Of this thread, as if what it frees were its own.
thread_local ptrdiff_t bytes_held = 0, most_bytes_held = 0;

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  if (allocations_left == 0) {
    allocation_failed = true;
    throw std::bad_alloc();
  }
  if (allocations_left > 0) --allocations_left;
  if (void* memory = std::malloc(size > 0 ? size : 1)) {
    bytes_held += static_cast<ptrdiff_t>(malloc_usable_size(memory));
    most_bytes_held = std::max(most_bytes_held, bytes_held);
    return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size > 0 ? size : 1);  // whose callers can do without
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  if (memory != nullptr) bytes_held -= static_cast<ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}

namespace tessera {
namespace {

using grammar::Automaton;
using grammar::GrammarCache;
using grammar::SharedGrammar;
using grammar::StackSet;
using grammar::TokenTrie;
using grammar::WorkMeter;

// Steps of a property that counts, not of one that reads memory: sanitizers (whose builds have
// assertions) make them ten times as slow and find what they find in the first.
int steps(int whole) {
#ifdef TESSERA_ASSERTIONS
  return (whole + 3) / 4;
#else
  return whole;
#endif
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

// Every one of `letters` begins a rule that goes back to the start in a hundred ways.
std::string many_returns(std::string_view letters, int ways) {
  std::string out = "root ::= s\ns ::= ";
  for (size_t i = 0; i < letters.size(); ++i) {
    out += fmt::format("{} t{} | ", in_quotes(letters.substr(i, 1)), i);
  }
  out += "\"!\"\n";
  for (size_t i = 0; i < letters.size(); ++i) {
    out += fmt::format("t{} ::= ", i);
    for (int way = 0; way < ways; ++way) {
      out += fmt::format("{}s {}", way > 0 ? " | " : "", in_quotes(fmt::format("{}p", 1000 + way)));
    }
    out += '\n';
  }
  return out;
}

std::string counted_alternatives(int count) {
  std::string out = "root ::= ";
  for (int i = 1; i <= count; ++i) out += fmt::format("{}[^\\n]{{0,{}}}", i > 1 ? " | " : "", i);
  return out;
}

std::string nested_optionals(int depth) {
  std::string out = "root ::= ";
  for (int i = 0; i < depth; ++i) out += "(";
  out += "\"a\"";
  for (int i = 0; i < depth; ++i) out += "? [a-z]? .?)";
  return out;
}

std::string crossing_rules(int count) {
  std::string out = "root ::= r0\n";
  for (int i = 0; i < count; ++i) {
    out +=
        fmt::format("r{} ::= [a-z] r{} [a-z] | . r{} \"x\" | [a-m] r{} r{} | \"!\"\n", i,
                    (i + 1) % count, (i * 7 + 3) % count, (i * 5 + 1) % count, (i * 3 + 2) % count);
  }
  return out;
}

const std::vector<std::string>& hostile_grammars() {
  static const std::vector<std::string> grammars = {
      many_returns("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-*/", 200),
      many_returns("abcdefgh", 1000),
      many_returns("ae ,.tn", 400),
      counted_alternatives(399),
      nested_optionals(100),
      crossing_rules(200),
      "root ::= ([^a]{0,300} [\\u0100-\\uffff]{0,300} .{0,300}){0,50}",
      "root ::= (x{0,50}){0,50}\nx ::= [a-z]{1,50} | [a-f ]{2,60} | . x",
      "root ::= x\nx ::= \"a\" x x | \"a\" x | [a-z] x x x | [a-z ]",
      "root ::= x{0,400}\nx ::= y{0,40} | y{2,90} \"a\"\ny ::= [a-z]{0,9} | .{1,8}",
      "root ::= (.{1,300} [a-z]){1,30} (.* \"a\" .{200})*",
  };
  return grammars;
}

// Tokens of all kinds of texts, thousands of them.
const Tokenizer& large_tokenizer() {
  static const auto tokenizer = [] {
    std::mt19937 random(7);
    constexpr std::string_view kLetters = "aaeetn rsdlx,.!\"01pq\n";
    std::vector<testing::Entry> more;
    std::set<std::string> seen;
    while (more.size() < 20'000) {
      std::string text;
      for (size_t i = 0, size = 2 + random() % 8; i < size; ++i) {
        text += byte_to_alphabet(static_cast<unsigned char>(kLetters[random() % kLetters.size()]));
      }
      if (seen.insert(text).second) more.push_back({text});
    }
    more.push_back({"<end>", 3});
    GgufMetadata metadata = testing::byte_level_bpe("gpt-2", {}, more);
    metadata.set("tokenizer.ggml.eos_token_id", {static_cast<uint32_t>(256 + more.size() - 1)});
    return make_tokenizer(metadata);
  }();
  return *tokenizer;
}

Token token_of(std::string_view text) {
  return large_tokenizer().encode(text, {.add_special = false})[0];
}

std::shared_ptr<const TokenTrie> large_trie() {
  static const auto trie = std::make_shared<const TokenTrie>(large_tokenizer());
  return trie;
}

Token some_token(std::span<const uint64_t> allowed, std::mt19937& random) {
  std::vector<Token> choices;
  for (Token t = 0; t < static_cast<Token>(large_tokenizer().vocabulary_size()); ++t) {
    if (is_allowed(allowed, t)) choices.push_back(t);
  }
  return choices[random() % choices.size()];
}

TEST(GrammarBounds, AStepTakesBoundedWorkAndMemory) {
  for (const std::string& gbnf : hostile_grammars()) {
    SCOPED_TRACE(gbnf.substr(0, 80));
    const auto shared = std::make_shared<SharedGrammar>(compile_grammar(gbnf), large_trie(),
                                                        std::weak_ptr<GrammarCache>());
    std::mt19937 random(1);
    const auto constraint = shared->start();
    for (int step = 0; step < steps(16); ++step) {
      const size_t before = shared->work();
      const auto allowed = constraint->allowed();
      EXPECT_LE(shared->work() - before, 8'000'000u) << "at step " << step;
      EXPECT_LE(shared->bytes(), size_t{64} << 20);
      constraint->accept(some_token(allowed, random));
    }
  }
}

TEST(GrammarBounds, WhatIsCutShortDoesNotDependOnWhatWasKnown) {
  for (const std::string& gbnf : hostile_grammars()) {
    SCOPED_TRACE(gbnf.substr(0, 80));
    const auto compiled = compile_grammar(gbnf);
    const auto make = [&] {
      return std::make_shared<SharedGrammar>(compiled, large_trie(), std::weak_ptr<GrammarCache>());
    };
    const auto used = make();
    std::mt19937 random(2);
    for (int answer = 0; answer < steps(3); ++answer) {  // fills its tables by other texts
      const auto constraint = used->start();
      for (int step = 0; step < steps(5); ++step) {
        constraint->accept(some_token(constraint->allowed(), random));
      }
    }
    const auto first = used->start(), second = make()->start();
    for (int step = 0; step < steps(8); ++step) {
      const auto allowed = first->allowed();
      ASSERT_TRUE(std::ranges::equal(allowed, second->allowed())) << "at step " << step;
      const Token token = some_token(allowed, random);
      first->accept(token);
      second->accept(token);
    }
  }
}

// Who has a deadline is put off, and that changes no mask. What is known takes no time.
TEST(GrammarBounds, WhatIsPutOffIsTheSameLater) {
  const Deadline over(Deadline::Clock::now());
  for (const std::string& gbnf : hostile_grammars()) {
    SCOPED_TRACE(gbnf.substr(0, 80));
    const auto compiled = compile_grammar(gbnf);
    const auto make = [&] {
      return std::make_shared<SharedGrammar>(compiled, large_trie(), std::weak_ptr<GrammarCache>());
    };
    const auto hurried = make();
    const auto first = hurried->start(), second = make()->start();
    std::mt19937 random(3);
    for (int step = 0; step < 3; ++step) {
      first->prepare(over);
      first->prepare(Deadline::in(std::chrono::microseconds(200)));
      const auto allowed = first->allowed();
      ASSERT_TRUE(std::ranges::equal(allowed, second->allowed())) << "at step " << step;
      EXPECT_TRUE(first->prepare(over));
      EXPECT_EQ(first->complete(), second->complete());
      const Token token = some_token(allowed, random);
      first->accept(token);
      second->accept(token);
    }
  }
}

TEST(GrammarBounds, ADeadlineEndsAWalkOfMuchWork) {
  const auto shared = std::make_shared<SharedGrammar>(compile_grammar(hostile_grammars()[0]),
                                                      large_trie(), std::weak_ptr<GrammarCache>());
  const auto constraint = shared->start(), other = shared->start();
  const size_t before = shared->work();
  EXPECT_FALSE(constraint->prepare(Deadline(Deadline::Clock::now())));
  EXPECT_LE(shared->work() - before, 100'000u);
  EXPECT_TRUE(constraint->prepare({}));
  EXPECT_GT(shared->work() - before, 1'000'000u);
  EXPECT_TRUE(other->prepare(Deadline(Deadline::Clock::now()))) << "it is known";
}

TEST(GrammarBounds, AnAnswerThatIsTooCostlyToFollowEnds) {
  const auto shared = std::make_shared<SharedGrammar>(compile_grammar(crossing_rules(200)),
                                                      large_trie(), std::weak_ptr<GrammarCache>());
  SharedGrammar::Position position;
  const Token letter = token_of("a");
  while (position.text.size() < 20'000 && !position.ended) {
    shared->accept(position, letter);
    shared->complete(position);  // reads it
    ASSERT_LE(shared->bytes(), size_t{150} << 20);
  }
  EXPECT_TRUE(position.ended);
  const size_t kept = position.text.size();
  SharedGrammar::Position again;  // the same text ends at the same place
  again.text = position.text;
  EXPECT_EQ(shared->complete(again), shared->complete(position));
  EXPECT_TRUE(again.ended);
  EXPECT_GT(kept, 0u);
}

TEST(GrammarBounds, KeptGrammarsHaveABudgetTogether) {
  const auto cache = std::make_shared<GrammarCache>();
  for (int i = 0; i < 40; ++i) {
    const std::string gbnf = fmt::format("root ::= \"{}\" [a-z]{{{}}} .*", i, 30'000 + i);
    auto shared = std::make_shared<SharedGrammar>(compile_grammar(gbnf), large_trie(), cache);
    cache->keep(gbnf, shared);
    const auto constraint = shared->start();
    constraint->allowed();
    EXPECT_LE(cache->bytes(), GrammarCache::kMaxBytes);
    EXPECT_NE(cache->find(gbnf), nullptr) << "the latest is kept";
  }
}

// Wherever memory runs out, the answer ends with an end token, and another to the same grammar goes
// on as if nothing had happened.
TEST(GrammarBounds, AnAllocationThatFailsEndsItsOwnAnswerOnly) {
  const auto compiled = compile_grammar("root ::= (\"a\" [a-z]{0,9} \"x\" root | [a-z,. ]*) \"!\"");
  const auto shared =
      std::make_shared<SharedGrammar>(compiled, large_trie(), std::weak_ptr<GrammarCache>());
  const auto other = shared->start(), reference = shared->start();
  const std::array<Token, 4> letters = {token_of("a"), token_of("x"), token_of("t"), token_of("e")};
  std::mt19937 random(4);
  int failures = 0;
  for (int count = 0; count < 400; count += 1 + count / 8) {
    const auto victim = shared->start();
    allocations_left = count;
    for (int step = 0; step < 40 && !allocation_failed; ++step) {
      victim->accept(letters[random() % letters.size()]);
      victim->allowed();
    }
    allocations_left = -1;
    if (std::exchange(allocation_failed, false)) {
      ++failures;
      EXPECT_FALSE(victim->complete());
      EXPECT_TRUE(large_tokenizer().is_end_of_generation(some_token(victim->allowed(), random)));
    }
    EXPECT_TRUE(std::ranges::equal(other->allowed(), reference->allowed()));
    const auto expected =
        std::make_shared<SharedGrammar>(compiled, large_trie(), std::weak_ptr<GrammarCache>());
    EXPECT_TRUE(std::ranges::equal(shared->start()->allowed(), expected->start()->allowed()));
  }
  EXPECT_GT(failures, 5);
}

// `count` pieces of JSON, of the numbers from 0, with commas between.
template <typename Piece>
std::string listed(int count, Piece piece) {
  std::string list;
  for (int i = 0; i < count; ++i) list += fmt::format("{}{}", i > 0 ? "," : "", piece(i));
  return list;
}

std::string number(int i) {
  return std::to_string(i);
}

// Every second one of so many characters, which no range holds together.
std::string scattered(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) append_utf8(text, 0x4E00 + 2 * static_cast<uint32_t>(i));
  return text;
}

// Each of 40 schemas applies the next one twice.
std::string doubling(std::string_view twice, std::string_view last, bool negated = false) {
  const std::string defs = listed(40, [&](int i) {
    const std::string next = fmt::format(R"({{"$ref":"#/$defs/d{}"}})", i + 1);
    return fmt::format(R"("d{}":{})", i, fmt::format(fmt::runtime(twice), next, next));
  });
  const std::string_view first =
      negated ? R"("not":{"$ref":"#/$defs/d0"})" : R"("$ref":"#/$defs/d0")";
  return fmt::format(R"({{{},"$defs":{{{},"d40":{}}}}})", first, defs, last);
}

struct HostileSchema {
  const char* name;
  std::string text;
};

std::vector<HostileSchema> hostile_schemas() {
  const auto pattern = [](const std::string& text) {
    return fmt::format(R"({{"pattern":"{}"}})", text);
  };
  const auto enumerated = [](int count) {
    return fmt::format(R"({{"enum":[{}]}})", listed(count, number));
  };
  const std::string contained = listed(
      6, [](int i) { return fmt::format(R"({{"contains":{{"const":{}}},"minContains":2}})", i); });
  return {
      {"names that double", doubling(R"({{"allOf":[{},{}]}})", R"({"properties":{"a":{}}})")},
      {"counts that double",
       doubling(R"({{"allOf":[{},{}]}})", R"({"type":"array","contains":{"const":1}})")},
      {"alternatives that double, negated",
       doubling(R"({{"allOf":[{},{}]}})", R"({"minimum":1})", true)},
      {"long arrays",
       fmt::format(
           R"({{"properties":{{{}}}}})",
           listed(500,
                  [](int i) {
                    return fmt::format(
                        R"("p{}":{{"type":"array","items":{{"const":{}}},"maxItems":99999}})", i,
                        i);
                  }))},
      {"many counts of a long array",
       fmt::format(R"({{"type":"array","maxItems":2000,"allOf":[{}]}})", contained)},
      {"an object of some property",
       fmt::format(R"({{"type":"object","properties":{{{}}},"additionalProperties":true,)"
                   R"("not":{{"additionalProperties":{{"type":"string"}}}}}})",
                   listed(1000, [](int i) { return fmt::format(R"("name{}":{{}})", i); }))},
      {"names beside names",
       fmt::format(R"({{"anyOf":[{}]}})",
                   listed(300,
                          [](int i) {
                            return fmt::format(
                                R"({{"required":["a"],"properties":{{"{}":{{"const":{}}}}}}})",
                                std::string(700, 'n') + number(i), i);
                          }))},
      {"many required",
       fmt::format(R"({{"required":[{}]}})",
                   listed(100'000, [](int i) { return fmt::format("\"{}\"", i); }))},
      {"many that depend",
       fmt::format(R"({{"dependentRequired":{{"a":[{}]}}}})",
                   listed(100'000, [](int i) { return fmt::format("\"{}\"", i); }))},
      {"many members",
       fmt::format(R"({{"$defs":{{{}}}}})",
                   listed(80'000, [](int i) { return fmt::format("\"{}\":1", i); }))},
      {"a long id", fmt::format(R"({{"$id":"{}","anyOf":[{}]}})", std::string(400'000, 'i'),
                                listed(30'000, [](int) { return R"({"$ref":"#"})"; }))},
      {"ids within a long id",
       fmt::format(R"({{"$id":"{}/","anyOf":[{}]}})", std::string(1900, 'i'),
                   listed(20'000, [](int i) { return fmt::format(R"({{"$id":"{}"}})", i); }))},
      {"states by classes of characters",
       pattern(fmt::format("^(?:a{{10000}}|[{}])$", scattered(5000)))},
      {"a class that is repeated", pattern(fmt::format("^[{}]{{10000}}$", scattered(5000)))},
      {"a look that is repeated", pattern("(?:(?=a)){10000}")},
      {"looks that are repeated", pattern(fmt::format("(?:{}){{12}}",
                                                      [] {
                                                        std::string looks;
                                                        for (int i = 0; i < 1000; ++i)
                                                          looks += fmt::format("(?=.*{})", i);
                                                        return looks;
                                                      }()))},
      {"an edge that is repeated",
       pattern(fmt::format("(?:^){{5000}}a{{5000}}[{}]", scattered(5000)))},
      {"edges of a product",
       fmt::format(R"({{"pattern":"^[{}]*$","minLength":19000}})", scattered(5300))},
      {"long constants", fmt::format(R"({{"anyOf":[{}]}})", listed(600,
                                                                   [](int i) {
                                                                     return fmt::format(
                                                                         R"({{"const":"{}{}"}})",
                                                                         std::string(240, 'c'), i);
                                                                   }))},
      {"numbers left out again and again",
       fmt::format(R"({{"type":"number","anyOf":[{}],"not":{}}})",
                   listed(100, [](int i) { return fmt::format(R"({{"minimum":{}}})", i); }),
                   enumerated(20'000))},
      {"many numbers left out", fmt::format(R"({{"not":{}}})", enumerated(100'000))},
      {"many multiples",
       fmt::format(
           R"({{"type":"number","allOf":[{}]}})",
           listed(300, [](int i) { return fmt::format(R"({{"multipleOf":{}}})", i + 1); }))},
      {"a large pattern in many objects",
       fmt::format(
           R"({{"$defs":{{"p":{{}}}},"anyOf":[{}]}})",
           listed(900,
                  [](int i) {
                    return fmt::format(
                        R"({{"patternProperties":{{"^(a{{5000}}|b{{5000}})$":{{"const":{}}}}}}})",
                        i);
                  }))},
      {"circles in a large document",
       fmt::format(
           R"({{"$defs":{{"l":{{"enum":[{}]}}}},"oneOf":[{}]}})", listed(60'000, number),
           listed(
               40,
               [](int i) {
                 return fmt::format(
                     R"({{"type":"array","prefixItems":[{{"$ref":"#"}},{{"const":{}}}],"minItems":1}})",
                     i);
               }))},
  };
}

// What they cost is bounded whatever they say; whether they are refused is another matter.
TEST(GrammarBounds, ASchemaTakesBoundedTimeAndMemory) {
  for (const HostileSchema& schema : hostile_schemas()) {
    SCOPED_TRACE(schema.name);
    const ptrdiff_t before = most_bytes_held = bytes_held;
    const std::clock_t begin = std::clock();
    std::string answer = "compiled";
    try {
      compile_json_schema(schema.text);
    } catch (const Error& error) {
      answer = error.what();
      EXPECT_EQ(answer.find('\n'), std::string::npos);
      EXPECT_LT(answer.size(), 1000u);
    }
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_LE(seconds, 5.0 * steps(4));
    EXPECT_LE(most_bytes_held - before, ptrdiff_t{200} << 20);
  }
}

// What a request asks for counts together, however it is divided.
TEST(GrammarBounds, TheSchemasOfManyFunctionsCountTogether) {
  FunctionCalls calls;
  for (int i = 0; i < 200; ++i)
    calls.functions.push_back(
        {fmt::format("f{}", i), R"({"properties":{"a":{"pattern":"^(a{5000}|b{5000})$"}}})"});
  EXPECT_THROW(compile_function_calls(calls), Error);
  calls.functions.resize(2);
  EXPECT_NO_THROW(compile_function_calls(calls));
  for (int i = 0; i < 100'000; ++i) calls.functions.push_back({fmt::format("g{}", i), ""});
  EXPECT_THROW(compile_function_calls(calls), Error);
}

}  // namespace
}  // namespace tessera
