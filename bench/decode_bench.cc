// What a token costs beside the model: choosing it from a row of logits, and finding the tokens
// that a grammar allows.
//
// TESSERA_BENCH_MODEL names a GGUF file, for its vocabulary; without one only sampling is measured.
//   decode_bench --benchmark_filter=Sample
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include "decode/grammar/automaton.h"
#include "decode/grammar/structured_output.h"
#include "decode/grammar/token_mask.h"
#include "decode/sampler.h"
#include "files/gguf.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

constexpr size_t kVocabulary = 49152;

// Rows like a model's: most tokens far below a few.
const std::vector<std::vector<float>>& rows() {
  static const auto made = [] {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 2.5f);
    std::vector<std::vector<float>> result(32, std::vector<float>(kVocabulary));
    for (auto& row : result)
      for (float& logit : row) logit = normal(random);
    return result;
  }();
  return made;
}

void sample(benchmark::State& state, const SamplingOptions& options) {
  Sampler sampler(options);
  std::vector<Token> tokens(100);
  size_t row = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(sampler.choose(rows()[row++ % rows().size()], tokens, tokens.size()));
}
BENCHMARK_CAPTURE(sample, greedy, {.temperature = 0})->Name("Sample/greedy");
BENCHMARK_CAPTURE(sample, filtered, {})->Name("Sample/top-k,top-p,min-p");
BENCHMARK_CAPTURE(sample, top_k, {.top_p = 1, .min_p = 0})->Name("Sample/top-k");
BENCHMARK_CAPTURE(sample, top_p, {.top_k = 0, .min_p = 0})->Name("Sample/top-p");
BENCHMARK_CAPTURE(sample, unfiltered, {.top_k = 0, .top_p = 1, .min_p = 0})
    ->Name("Sample/unfiltered");
BENCHMARK_CAPTURE(sample, penalties, {.repetition_penalty = 1.1f})->Name("Sample/penalties");

const Tokenizer* tokenizer() {
  static const auto loaded = [] {
    const char* path = std::getenv("TESSERA_BENCH_MODEL");
    return path == nullptr ? nullptr : Tokenizer::load(GgufFile::open(path).metadata());
  }();
  return loaded.get();
}

constexpr const char* kSchema = R"({"type": "object", "properties": {
  "title": {"type": "string"}, "year": {"type": "integer"}, "rating": {"type": "number"},
  "cast": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string"}, "role": {"type": "string"}}, "required": ["name", "role"]}},
  "seen": {"type": "boolean"}}, "required": ["title", "year", "rating", "cast", "seen"]})";
// Each count of characters is a state of its own.
constexpr const char* kCounted = R"({"type": "object", "properties": {
  "title": {"type": "string", "maxLength": 100}, "year": {"type": "integer"},
  "rating": {"type": "number"}, "cast": {"type": "array", "items": {"type": "object", "properties": {
    "name": {"type": "string", "maxLength": 20}, "role": {"type": "string", "maxLength": 30}},
    "required": ["name", "role"]}}, "seen": {"type": "boolean"}},
  "required": ["title", "year", "rating", "cast", "seen"]})";
constexpr const char* kAnswer = R"({
  "title": "The Third Man, a film by Carol Reed",
  "year": 1949,
  "rating": 8.1,
  "cast": [{"name": "Joseph Cotten", "role": "Holly Martins"},
    {"name": "Alida Valli", "role": "Anna Schmidt"}, {"name": "Orson Welles", "role": "Harry Lime"}],
  "seen": true
})";

// Microseconds for each token of an answer, and for the slowest one; `first`: by a grammar that is
// new.
void masks(benchmark::State& state, const char* schema, bool first) {
  if (tokenizer() == nullptr) return state.SkipWithError("TESSERA_BENCH_MODEL is not set");
  const auto tokens = tokenizer()->encode(kAnswer, {.add_special = false});
  const grammar::TokenTrie trie(*tokenizer());
  const auto compiled = compile_json_schema(schema);
  grammar::Automaton automaton(*compiled);
  grammar::TokenMasks cached(automaton, trie);
  double slowest = 0, total = 0, answers = 0;
  const auto answer = [&](grammar::Automaton& a, grammar::TokenMasks& m) {
    auto at = a.start();
    double longest = 0;
    for (const Token token : tokens) {
      const auto begin = std::chrono::steady_clock::now();
      const auto mask = m.of(at);
      const std::chrono::duration<double, std::micro> time =
          std::chrono::steady_clock::now() - begin;
      longest = std::max(longest, time.count());
      total += time.count();
      if (!is_allowed(*mask, token)) return state.SkipWithError("the answer is not allowed");
      for (const char c : tokenizer()->piece(token)) at = a.next(at, static_cast<uint8_t>(c));
    }
    slowest += longest;
    ++answers;
  };
  if (!first) answer(automaton, cached);
  slowest = total = answers = 0;
  for (auto _ : state) {
    if (first) {
      grammar::Automaton fresh(*compiled);
      grammar::TokenMasks fresh_masks(fresh, trie);
      answer(fresh, fresh_masks);
    } else {
      answer(automaton, cached);
    }
  }
  state.counters["us_per_token"] = total / answers / static_cast<double>(tokens.size());
  state.counters["us_slowest"] = slowest / answers;
}
BENCHMARK_CAPTURE(masks, schema_first, kSchema, true)->Name("Mask/schema, first answer");
BENCHMARK_CAPTURE(masks, schema, kSchema, false)->Name("Mask/schema, later answers");
BENCHMARK_CAPTURE(masks, counted_first, kCounted, true)->Name("Mask/counted strings, first answer");
BENCHMARK_CAPTURE(masks, counted, kCounted, false)->Name("Mask/counted strings, later answers");
BENCHMARK_CAPTURE(masks, any_first, R"({"type": "object"})", true)
    ->Name("Mask/any object, first answer");
BENCHMARK_CAPTURE(masks, any, R"({"type": "object"})", false)
    ->Name("Mask/any object, later answers");

void compile(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(compile_json_schema(kSchema));
}
BENCHMARK(compile)->Name("Compile/schema");

void index_vocabulary(benchmark::State& state) {
  if (tokenizer() == nullptr) return state.SkipWithError("TESSERA_BENCH_MODEL is not set");
  for (auto _ : state) benchmark::DoNotOptimize(grammar::TokenTrie(*tokenizer()));
}
BENCHMARK(index_vocabulary)->Name("Vocabulary");

}  // namespace
}  // namespace tessera

BENCHMARK_MAIN();
