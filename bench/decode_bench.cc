// What a token costs beside the model: choosing it from a row of logits, and finding the tokens
// that a grammar allows.
//
// TESSERA_BENCH_MODEL names a GGUF file, for its vocabulary; without one only sampling is measured.
//   decode_bench --benchmark_filter=Sample
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <random>
#include <vector>

#include "base/thread_pool.h"
#include "decode/sampler.h"
#include "files/gguf/reader.h"
#include "grammar/automaton.h"
#include "grammar/structured_output.h"
#include "grammar/token_mask.h"
#include "text/tokenizer.h"

namespace tessera {
namespace {

constexpr size_t kStreams = 32;

// Rows like a model's, but flatter: most tokens far below a few.
const std::vector<std::vector<float>>& rows(size_t vocabulary) {
  static std::map<size_t, std::vector<std::vector<float>>> made;
  auto& result = made[vocabulary];
  if (result.empty()) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 2.5f);
    result.resize(kStreams, std::vector<float>(vocabulary));
    for (auto& row : result)
      for (float& logit : row) logit = normal(random);
  }
  return result;
}

// The time of one token. The first argument is the size of the vocabulary.
void sample(benchmark::State& state, const SamplingOptions& options) {
  const auto& all = rows(static_cast<size_t>(state.range(0)));
  Sampler sampler(options);
  std::vector<Token> tokens(100);
  size_t row = 0;
  for (auto _ : state) {
    tokens.push_back(0);  // another position, hence other noise
    benchmark::DoNotOptimize(sampler.choose(all[row++ % all.size()], tokens, tokens.size()));
    if (tokens.size() > 1000) tokens.resize(100);
  }
}

void vocabularies(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(49'152)->Arg(151'936);
}
const SamplingOptions kTopP{.temperature = 1, .top_k = 0, .min_p = 0};
const SamplingOptions kUnfiltered{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
BENCHMARK_CAPTURE(sample, greedy, {.temperature = 0})->Name("Sample/greedy")->Apply(vocabularies);
BENCHMARK_CAPTURE(sample, filtered, {})->Name("Sample/top-k,top-p,min-p")->Apply(vocabularies);
BENCHMARK_CAPTURE(sample, top_k, {.top_p = 1, .min_p = 0})
    ->Name("Sample/top-k")
    ->Apply(vocabularies);
BENCHMARK_CAPTURE(sample, top_p, kTopP)->Name("Sample/top-p")->Apply(vocabularies);
BENCHMARK_CAPTURE(sample, unfiltered, kUnfiltered)->Name("Sample/unfiltered")->Apply(vocabularies);
BENCHMARK_CAPTURE(sample, penalties, {.repetition_penalty = 1.1f})
    ->Name("Sample/penalties")
    ->Apply(vocabularies);

// The time of a token for each of 32 streams, as the engine's step chooses them. Arguments: the
// size of the vocabulary, threads.
void sample_streams(benchmark::State& state, const SamplingOptions& options) {
  const auto& all = rows(static_cast<size_t>(state.range(0)));
  ThreadPool pool(static_cast<int>(state.range(1)));
  std::vector<Sampler> samplers;
  for (size_t i = 0; i < kStreams; ++i) samplers.emplace_back(options);
  std::vector<Token> tokens(100);
  for (auto _ : state) {
    tokens.push_back(0);
    pool.parallel_for(kStreams, [&](int i, int) {
      const auto stream = static_cast<size_t>(i);
      benchmark::DoNotOptimize(samplers[stream].choose(all[stream], tokens, tokens.size()));
    });
    if (tokens.size() > 1000) tokens.resize(100);
  }
}
void streams(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({49'152, 1})->Args({49'152, 2})->UseRealTime();
}
BENCHMARK_CAPTURE(sample_streams, filtered, {})->Name("Streams/top-k,top-p,min-p")->Apply(streams);
BENCHMARK_CAPTURE(sample_streams, top_p, kTopP)->Name("Streams/top-p")->Apply(streams);
BENCHMARK_CAPTURE(sample_streams, unfiltered, kUnfiltered)
    ->Name("Streams/unfiltered")
    ->Apply(streams);

const Tokenizer* tokenizer() {
  static const auto loaded = [] {
    const char* path = std::getenv("TESSERA_BENCH_MODEL");
    return path == nullptr ? nullptr : Tokenizer::make(GgufFile::open(path).read_tokenizer());
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
