#include "grammar/shared_grammar.h"

#include <algorithm>
#include <chrono>
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
// Of a text that has to come: what is longer, is found in parts.
constexpr size_t kMostForcedBytes = 256;
// Growth that is worth a look at what others hold.
constexpr size_t kNoticedBytes = size_t{1} << 20;

// Bytes of a text between two looks at the clock.
constexpr size_t kBytesOfALook = 64;
// An automaton that is larger may take milliseconds for a single step: to move its tables.
constexpr size_t kMaxQuickBytes = size_t{4} << 20;

class GrammarConstraint final : public Constraint {
 public:
  explicit GrammarConstraint(std::shared_ptr<SharedGrammar> grammar)
      : grammar_(std::move(grammar)) {}

  bool prepare(Deadline deadline) override {
    if (!next_) next_ = grammar_->next(position_, deadline);
    return next_.has_value();
  }
  std::span<const uint64_t> allowed() override {
    prepare({});
    return *next_->mask;
  }
  bool complete() override {
    prepare({});
    return next_->complete;
  }
  bool may_allow(Token token, Deadline deadline) override {
    return next_ ? is_allowed(*next_->mask, token)
                 : grammar_->may_allow(position_, token, deadline);
  }
  std::vector<Token> forced(Deadline deadline) override {
    const std::string text = grammar_->forced_text(position_, deadline);
    return text.empty() ? std::vector<Token>() : grammar_->cut(text);
  }
  void accept(Token token) override {
    next_.reset();
    grammar_->accept(position_, token);
  }
  std::unique_ptr<Constraint> copy() const override {
    return std::make_unique<GrammarConstraint>(*this);
  }

 private:
  std::shared_ptr<SharedGrammar> grammar_;
  SharedGrammar::Position position_;
  std::optional<SharedGrammar::Next> next_;
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

std::unique_lock<std::timed_mutex> SharedGrammar::lock(Deadline deadline) {
  if (!deadline.exists()) return std::unique_lock(mutex_);
  std::unique_lock held(mutex_, std::try_to_lock);
  // By the clock that ThreadSanitizer knows of.
  if (!held) held.try_lock_until(std::chrono::system_clock::now() + deadline.left());
  return held;
}

// Runs `work` where the answer stands; false if that took beyond the deadline. Where memory runs
// out, what is known is forgotten and the answer ends.
template <typename Work>
bool SharedGrammar::guarded(Position& position, Deadline deadline, Work&& work) {
  const auto held = lock(deadline);
  if (!held || (deadline.exists() && is_untidy())) return false;
  try {
    tidy();
    find_state(position, deadline);
    if (!position.ended) work();
    if (!deadline.exists()) tidy();
  } catch (const OutOfTime&) {
    return false;
  } catch (const std::bad_alloc&) {
    position.ended = true;
    usable_ = false;
  }
  return true;
}

std::optional<SharedGrammar::Next> SharedGrammar::next(Position& position, Deadline deadline) {
  Next next;
  const bool is_done = position.ended || guarded(position, deadline, [&] {
                         next.mask = masks_.known(position.state);
                         const bool is_quick = automaton_.bytes() <= kMaxQuickBytes;
                         if (next.mask == nullptr && deadline.exists() && !is_quick)
                           throw OutOfTime();
                         if (next.mask == nullptr) next.mask = masks_.of(position.state, deadline);
                         next.complete = automaton_.ends(position.state);
                       });
  if (!is_done) return std::nullopt;
  return position.ended ? Next{.mask = ending_} : next;
}

bool SharedGrammar::may_allow(Position& position, Token token, Deadline deadline) {
  const std::string_view text = trie_->text(token);
  if (position.ended || text.empty()) return true;  // an end token, or a rare case
  bool is_dead = false;
  guarded(position, deadline, [&] {
    StackSet state = position.state;
    for (size_t i = 0; i < text.size() && !is_dead && !deadline.is_over(); ++i) {
      state = automaton_.next(state, static_cast<uint8_t>(text[i]));
      is_dead = state == Automaton::kDead;
    }
  });
  return !is_dead;
}

std::string SharedGrammar::forced_text(Position& position, Deadline deadline) {
  std::string text;
  if (position.ended) return text;
  guarded(position, deadline, [&] {
    if (automaton_.bytes() > kMaxQuickBytes) return;
    StackSet state = position.state;
    while (text.size() < kMostForcedBytes && !automaton_.ends(state)) {
      const auto byte = only_byte(state, deadline);
      if (!byte) return;
      text += static_cast<char>(*byte);
      state = automaton_.next(state, *byte);
    }
  });
  return text;
}

// The byte that the grammar goes on with, if there is no other.
std::optional<uint8_t> SharedGrammar::only_byte(StackSet state, Deadline deadline) {
  constexpr int kBytesOfATime = 16;  // between two looks at the clock
  std::optional<uint8_t> only;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte % kBytesOfATime == 0 && deadline.is_over()) return std::nullopt;
    if (automaton_.next(state, static_cast<uint8_t>(byte)) == Automaton::kDead) continue;
    if (only) return std::nullopt;
    only = static_cast<uint8_t>(byte);
  }
  return only;
}

bool SharedGrammar::complete(Position& position) {
  bool complete = false;
  if (!position.ended) guarded(position, {}, [&] { complete = automaton_.ends(position.state); });
  return complete && !position.ended;
}

void SharedGrammar::accept(Position& position, Token token) try {
  if (position.ended) return;
  const std::string_view text = trie_->text(token);
  position.text += text;
  if (text.empty()) position.ended = true;
} catch (const std::bad_alloc&) {
  position.ended = true;
}

void SharedGrammar::find_state(Position& position, Deadline deadline) {
  if (position.epoch == epoch_) return read(position, deadline);
  const bool again = position.read > 0;
  if (again && deadline.exists()) throw OutOfTime();  // what that takes of memory is to be noted
  position.epoch = epoch_;
  position.state = automaton_.start();
  position.read = position.work = 0;
  const size_t before = automaton_.bytes();
  read(position, deadline);
  if (!again) return;
  kept_bytes_ += automaton_.bytes() - before;
  if (kept_bytes_ > kMaxTextBytes) position.ended = true;
}

void SharedGrammar::read(Position& position, Deadline deadline) {
  const auto& classes = grammar_->byte_classes();
  while (position.read < position.text.size() && !position.ended) {
    const uint8_t byte_class = classes[static_cast<uint8_t>(position.text[position.read])];
    const StackSet reached = automaton_.step(position.state, byte_class);
    const bool costly = (reached & Automaton::kCostly) != 0;
    if (costly) position.work += automaton_.cost(position.state, byte_class);
    position.state = reached & ~Automaton::kCostly;
    const bool too_costly = position.work > kMaxTextWork + kMaxByteWork * position.read;
    if (position.state == Automaton::kDead || too_costly) position.ended = true;
    ++position.read;
    if ((costly || position.read % kBytesOfALook == 0) && deadline.is_over()) throw OutOfTime();
  }
}

// What takes long, and is not for those who have a deadline: to free memory.
bool SharedGrammar::is_untidy() const {
  const size_t bytes = grammar_->bytes() + automaton_.bytes() + masks_.bytes();
  return !usable_ || automaton_.bytes() > kept_bytes_ + kMaxStateBytes ||
         bytes > reported_bytes_ + kNoticedBytes;
}

void SharedGrammar::tidy() {
  if (!usable_ || automaton_.bytes() > kept_bytes_ + kMaxStateBytes) forget();
  note_bytes();
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
