#include "grammar/shared_grammar.h"

#include <algorithm>
#include <new>

namespace tessera::grammar {
namespace {

// Of what the automaton knows; walking the texts of answers again comes on top...
constexpr size_t kMaxStateBytes = size_t{16} << 20;
// ...but for all answers together no more than this.
constexpr size_t kMaxTextBytes = size_t{64} << 20;
// Work of following the text of one answer: at once, and for each byte. Only a grammar of boundless
// ambiguity comes near.
constexpr size_t kMaxTextWork = 2'000'000;
constexpr size_t kMaxByteWork = 250;
// Growth that is worth a look at what others hold.
constexpr size_t kNoticedBytes = size_t{1} << 20;

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
  std::unique_ptr<Constraint> copy() const override {
    return std::make_unique<GrammarConstraint>(*this);
  }

 private:
  std::shared_ptr<SharedGrammar> grammar_;
  SharedGrammar::Position position_;
  std::shared_ptr<const Mask> mask_;
};

}  // namespace

SharedGrammar::SharedGrammar(std::shared_ptr<const Grammar> grammar,
                             std::shared_ptr<const TokenTrie> trie,
                             std::weak_ptr<GrammarCache> cache)
    : grammar_(std::move(grammar)), trie_(std::move(trie)), cache_(std::move(cache)) {
  note_bytes();
}

// What answers share is only what has been found out: the grammar itself stays as it is.
std::unique_ptr<Constraint> SharedGrammar::start() const {
  return std::make_unique<GrammarConstraint>(
      std::const_pointer_cast<SharedGrammar>(shared_from_this()));
}

// Runs `work`. Where memory runs out, what is known is forgotten and the answer ends.
template <typename Result, typename Work>
Result SharedGrammar::guarded(Position& position, Result otherwise, Work&& work) {
  const std::lock_guard lock(mutex_);
  if (position.ended) return otherwise;
  try {
    if (!usable_) forget();
    Result result = work();
    if (automaton_.bytes() > kept_bytes_ + kMaxStateBytes) forget();
    note_bytes();
    return result;
  } catch (const std::bad_alloc&) {
    position.ended = true;
    usable_ = false;
    return otherwise;
  }
}

std::shared_ptr<const Mask> SharedGrammar::allowed(Position& position) {
  return guarded(position, ending_, [&] {
    find_state(position);
    return position.ended ? ending_ : masks_.of(position.state);
  });
}

bool SharedGrammar::complete(Position& position) {
  return guarded(position, false, [&] {
    find_state(position);
    return !position.ended && automaton_.ends(position.state);
  });
}

void SharedGrammar::accept(Position& position, Token token) {
  guarded(position, false, [&] {
    find_state(position);
    const size_t before = position.text.size();
    position.text += trie_->text(token);
    if (position.text.size() == before) position.ended = true;
    read(position, before);
    return true;
  });
}

void SharedGrammar::read(Position& position, size_t from) {
  const auto& classes = grammar_->byte_classes();
  for (size_t i = from; i < position.text.size() && !position.ended; ++i) {
    const uint8_t byte_class = classes[static_cast<uint8_t>(position.text[i])];
    const StackSet reached = automaton_.step(position.state, byte_class);
    if (reached & Automaton::kCostly) position.work += automaton_.cost(position.state, byte_class);
    position.state = reached & ~Automaton::kCostly;
    const bool too_costly = position.work > kMaxTextWork + kMaxByteWork * i;
    if (position.state == Automaton::kDead || too_costly) position.ended = true;
  }
}

void SharedGrammar::find_state(Position& position) {
  if (position.epoch == epoch_) return;
  position.epoch = epoch_;
  position.state = automaton_.start();
  position.work = 0;
  const size_t before = automaton_.bytes();
  read(position, 0);
  kept_bytes_ += automaton_.bytes() - before;
  if (kept_bytes_ > kMaxTextBytes) position.ended = true;
}

void SharedGrammar::forget() {
  usable_ = false;  // until it has worked: clearing allocates, too
  masks_.clear();
  automaton_.clear();
  kept_bytes_ = 0;
  ++epoch_;
  usable_ = true;
}

void SharedGrammar::note_bytes() {
  bytes_ = grammar_->bytes() + automaton_.bytes() + masks_.bytes();
  if (bytes_ <= reported_bytes_ + kNoticedBytes) return;
  reported_bytes_ = bytes_;
  if (const auto cache = cache_.lock()) cache->trim();
}

std::shared_ptr<SharedGrammar> GrammarCache::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, key, [](const auto& entry) { return entry.first; });
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return found->second;
}

void GrammarCache::keep(std::string key, std::shared_ptr<SharedGrammar> grammar) {
  {
    const std::lock_guard lock(mutex_);
    kept_.emplace_front(std::move(key), std::move(grammar));
  }
  trim();
}

void GrammarCache::trim() {
  Entries dropped;  // freed after the lock is
  const std::lock_guard lock(mutex_);
  size_t bytes = 0, count = 0;
  for (auto entry = kept_.begin(); entry != kept_.end(); ++count) {
    const auto next = std::next(entry);
    bytes += entry->second->bytes() + entry->first.size();
    if (count > 0 && (bytes > kMaxBytes || count >= kMaxGrammars))
      dropped.splice(dropped.end(), kept_, entry);
    entry = next;
  }
}

size_t GrammarCache::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [key, grammar] : kept_) bytes += grammar->bytes() + key.size();
  return bytes;
}

}  // namespace tessera::grammar
