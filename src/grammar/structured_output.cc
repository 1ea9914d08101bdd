#include "grammar/structured_output.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/function_ref.h"
#include "grammar/automaton.h"
#include "grammar/gbnf.h"
#include "grammar/grammar.h"
#include "grammar/json_schema.h"
#include "grammar/token_mask.h"
#include "grammar/token_trie.h"

namespace tessera {

using grammar::Automaton;
using grammar::Mask;
using grammar::StackSet;
using grammar::TokenMasks;
using grammar::TokenTrie;

std::shared_ptr<const Grammar> compile_grammar(std::string_view gbnf) {
  return std::make_shared<const Grammar>(grammar::parse_gbnf(gbnf));
}

std::shared_ptr<const Grammar> compile_json_schema(std::string_view schema) {
  const grammar::Syntax syntax = grammar::schema_syntax(schema);
  try {
    return std::make_shared<const Grammar>(syntax);
  } catch (const Error& error) {
    fail("json_schema: as a {}", error.what());
  }
}

std::shared_ptr<const Grammar> compile_function_calls(const FunctionCalls& calls) {
  return std::make_shared<const Grammar>(grammar::function_calls_syntax(calls));
}

std::shared_ptr<const Grammar> json_object_grammar() {
  return compile_json_schema(R"({"type": "object"})");
}

namespace {

// One grammar over one vocabulary: its automaton and masks, shared by all answers that it holds to
// itself. The mutex is there because sampling may be spread over threads.
class SharedGrammar {
 public:
  SharedGrammar(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
      : grammar_(std::move(grammar)), trie_(std::move(trie)) {}

  // Where an answer stands. Its state may be forgotten to free memory: its text never is.
  struct Position {
    std::string text;
    uint64_t epoch = 0;  // 0: none yet
    StackSet state = Automaton::kDead;
    bool ended = false;  // an end token came, or one that was not allowed
  };

  std::shared_ptr<const Mask> allowed(Position& position) {
    const std::lock_guard lock(mutex_);
    if (position.ended) return masks_.ending();
    find_state(position);
    return masks_.of(position.state);
  }

  bool complete(Position& position) {
    const std::lock_guard lock(mutex_);
    if (position.ended) return false;
    find_state(position);
    return automaton_.ends(position.state);
  }

  void accept(Position& position, Token token) {
    const std::lock_guard lock(mutex_);
    if (position.ended) return;
    find_state(position);
    const std::string_view text = trie_->text(token);
    position.ended = text.empty();
    position.text += text;
    read(position, text);
  }

 private:
  // Of what the automaton knows; walking the texts of answers again comes on top.
  static constexpr size_t kMaxBytes = 16 << 20;

  void read(Position& position, std::string_view text) {
    for (const char byte : text)
      position.state = automaton_.next(position.state, static_cast<uint8_t>(byte));
    if (position.state == Automaton::kDead) position.ended = true;
  }

  void find_state(Position& position) {
    if (automaton_.bytes() > kept_bytes_ + kMaxBytes) {
      automaton_.clear();
      masks_.clear();
      kept_bytes_ = 0;
      ++epoch_;
    }
    if (position.epoch == epoch_) return;
    position.epoch = epoch_;
    position.state = automaton_.start();
    const size_t before = automaton_.bytes();
    read(position, position.text);
    kept_bytes_ += automaton_.bytes() - before;
  }

  const std::shared_ptr<const Grammar> grammar_;
  const std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;
  Automaton automaton_{*grammar_};
  TokenMasks masks_{automaton_, *trie_};
  uint64_t epoch_ = 1;
  size_t kept_bytes_ = 0;
};

class GrammarConstraint final : public Constraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<SharedGrammar> grammar)
      : grammar_(std::move(grammar)) {}

  std::span<const uint64_t> allowed() override {
    if (mask_ == nullptr) mask_ = grammar_->allowed(position_);
    return *mask_;
  }
  bool complete() override { return grammar_->complete(position_); }
  void accept(Token token) override {
    mask_ = nullptr;
    grammar_->accept(position_, token);
  }

 private:
  std::shared_ptr<SharedGrammar> grammar_;
  SharedGrammar::Position position_;
  std::shared_ptr<const Mask> mask_;
};

class GrammarSource final : public ConstraintSource {
 public:
  explicit GrammarSource(std::shared_ptr<SharedGrammar> grammar) : grammar_(std::move(grammar)) {}
  std::unique_ptr<Constraint> start() const override {
    return std::make_unique<GrammarConstraint>(grammar_);
  }

 private:
  std::shared_ptr<SharedGrammar> grammar_;
};

}  // namespace

struct StructuredOutput::Impl {
  static constexpr size_t kKept = 16;  // grammars

  explicit Impl(const Tokenizer& t) : tokenizer(t) {}

  // `compile` runs without the lock on what is kept: who asks for what is known must not wait for
  // it.
  std::shared_ptr<const ConstraintSource> get(
      std::string key, FunctionRef<std::shared_ptr<const Grammar>()> compile) {
    if (auto known = find(key)) return known;
    const std::lock_guard turn(compiling);
    if (auto known = find(key)) return known;  // by now
    auto compiled = compile();
    std::call_once(trie_made, [this] { trie = std::make_shared<const TokenTrie>(tokenizer); });
    if (trie->end_tokens().empty())
      fail("grammar: this model has no token that ends an answer, so no answer can keep to one");
    auto source = std::make_shared<const GrammarSource>(
        std::make_shared<SharedGrammar>(std::move(compiled), trie));
    const std::lock_guard lock(mutex);
    kept.emplace_front(std::move(key), source);
    if (kept.size() > kKept) kept.pop_back();
    return source;
  }

  std::shared_ptr<const ConstraintSource> find(const std::string& key) {
    const std::lock_guard lock(mutex);
    const auto found = std::ranges::find(kept, key, [](const auto& entry) { return entry.first; });
    if (found == kept.end()) return nullptr;
    kept.splice(kept.begin(), kept, found);
    return found->second;
  }

  const Tokenizer& tokenizer;
  std::mutex compiling;  // time and memory that not all clients may ask for at once
  std::once_flag trie_made;
  std::shared_ptr<const TokenTrie> trie;
  std::mutex mutex;
  // Latest first.
  std::list<std::pair<std::string, std::shared_ptr<const ConstraintSource>>> kept;
};

StructuredOutput::StructuredOutput(const Tokenizer& tokenizer)
    : impl_(std::make_unique<Impl>(tokenizer)) {}
StructuredOutput::~StructuredOutput() = default;

std::shared_ptr<const ConstraintSource> StructuredOutput::grammar(std::string_view gbnf) {
  return impl_->get(fmt::format("grammar:{}", gbnf), [&] { return compile_grammar(gbnf); });
}

std::shared_ptr<const ConstraintSource> StructuredOutput::json_schema(std::string_view schema) {
  return impl_->get(fmt::format("json_schema:{}", schema),
                    [&] { return compile_json_schema(schema); });
}

std::shared_ptr<const ConstraintSource> StructuredOutput::json_object() {
  return json_schema(R"({"type": "object"})");
}

std::shared_ptr<const ConstraintSource> StructuredOutput::function_calls(
    const FunctionCalls& calls) {
  std::string key = fmt::format("function_calls:{}", calls.most);
  const auto add = [&](std::string_view part) { key += fmt::format(":{}:{}", part.size(), part); };
  for (const auto& part : {calls.open, calls.between, calls.close, calls.separator}) add(part);
  for (const auto& [name, parameters] : calls.functions) add(name), add(parameters);
  return impl_->get(std::move(key), [&] { return compile_function_calls(calls); });
}

}  // namespace tessera
