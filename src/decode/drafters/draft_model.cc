#include "decode/drafters/draft_model.h"

#include <algorithm>
#include <utility>

#include "base/timer.h"

namespace tessera {
namespace {

constexpr std::array<float, 3 * DraftedText::kMargins> kDraftChances = [] {
  // Behind a drawn token's and its second's: of one that may be the beginning of a longer one.
  constexpr std::array kOfBeginnings = {0.4F, 0.5F, 0.6F, 0.7F, 0.75F, 0.8F};
  std::array<float, 3 * DraftedText::kMargins> chances{};
  const auto rest = std::ranges::copy(DrawnGuess::kChances, chances.begin()).out;
  std::ranges::copy(kOfBeginnings, rest);
  return chances;
}();

}  // namespace

// --- one text

DraftedText::DraftedText(std::shared_ptr<Memory> memory, std::string_view cache_salt,
                         const VocabularyBridge* bridge)
    : memory_(std::move(memory)),
      place_(memory_->texts.insert(memory_->texts.end(), this)),
      blocks_(memory_->pool, memory_->pool.root(cache_salt)) {
  if (bridge != nullptr) bridged_.emplace(*bridge);
}

DraftedText::~DraftedText() {
  memory_->texts.erase(place_);
}

std::span<const float> DraftedText::chances() const {
  return kDraftChances;
}

GuessSource::Place DraftedText::after(Place place, Token token) const {
  const auto at = static_cast<size_t>(place.at);
  const bool follows = place.at >= 0 && at < levels_.size() && levels_[at].token == token;
  return {follows ? place.at + 1 : -1};
}

void DraftedText::guess(Place place, std::vector<Guess>& to) const {
  const auto at = static_cast<size_t>(place.at);
  if (place.at < 0 || at >= levels_.size()) return;
  const Level& level = levels_[at];
  to.push_back({level.token, level.bucket});
  if (level.second) to.push_back({*level.second, kMargins + level.bucket % kMargins});
}

void DraftedText::read(Token token, bool) {
  here_ = after(here(), token).at;
  if (bridged_) bridged_->read(token);
}

void DraftedText::end(std::span<const Token>) {
  forget();
}

void DraftedText::forget() {
  blocks_.clear();
  computed_.clear();
}

int DraftedText::unread(std::span<const Token> tokens) const {
  const auto common = std::ranges::mismatch(computed_, tokens).in1 - computed_.begin();
  return static_cast<int>(std::ssize(tokens) - common);
}

// Drafts that were wrong are computed no longer. The last token always is to be computed.
void DraftedText::keep_common(std::span<const Token> tokens) {
  if (computed_.empty()) {
    const int found = blocks_.adopt_prefix(tokens);
    computed_.assign(tokens.begin(), tokens.begin() + found);
  }
  const auto kept = std::min(tokens.size() - unread(tokens), tokens.size() - 1);
  computed_.resize(kept);
}

// Others may share what lies in whole blocks of `tokens`, as far as these stay what they are.
void DraftedText::publish(std::span<const Token> tokens) {
  const size_t stay = bridged_ ? bridged_->settled() : tokens.size();
  blocks_.publish(tokens.first(std::min(stay, tokens.size())));
}

// --- the model

DraftModel::DraftModel(const DraftMeans& means)
    : model_(*means.draft),
      relative_cost_(static_cast<double>(means.draft->weight_bytes()) /
                     static_cast<double>(means.model.weight_bytes())),
      bridge_(means.bridge),
      memory_(std::make_shared<DraftedText::Memory>(means.kv_blocks)),
      kv_(model_.make_kv(means.kv_blocks, kKvFormat)),
      drawer_(bridge_ == nullptr ? static_cast<size_t>(means.model.config().vocabulary)
                                 : bridge_->reader().vocabulary_size()) {}

std::unique_ptr<DraftedText> DraftModel::start(const DraftStart& sequence) {
  return std::unique_ptr<DraftedText>(new DraftedText(memory_, sequence.cache_salt, bridge_));
}

HostRows DraftModel::run(const Batch& batch) {
  const Timer timer;
  const Tensor logits = model_.forward(batch, *kv_);
  const HostRows rows = model_.backend().download(logits);
  cost_.observe(batch.rows(), timer.seconds());
  return rows;
}

// Who is not asked for now gives way. False if the text does not fit.
bool DraftModel::reserve(const Request& request, int tokens, std::span<const Request> all) {
  if (tokens > model_.config().context) return false;
  BlockTable& blocks = request.text->blocks_;
  if (blocks.reserve(tokens)) return true;
  for (DraftedText* other : memory_->texts) {
    const bool is_asked = std::ranges::find(all, other, &Request::text) != all.end();
    if (!is_asked) other->forget();
  }
  return blocks.reserve(tokens);
}

void DraftModel::read(std::span<const Request> requests) {
  Batch batch;
  std::vector<std::pair<DraftedText*, std::span<const Token>>> reads;
  int left = model_.limits().rows;
  for (const Request& request : requests) {
    DraftedText& text = *request.text;
    text.keep_common(request.tokens);
    const int done = static_cast<int>(text.computed_.size());
    const int rows = std::min(left, static_cast<int>(request.tokens.size()) - 1 - done);
    if (rows <= 0 || !reserve(request, done + rows, requests)) continue;
    const auto chunk = request.tokens.subspan(text.computed_.size(), static_cast<size_t>(rows));
    batch.add_chain(chunk, done, text.blocks_.blocks());
    reads.emplace_back(&text, request.tokens.first(text.computed_.size() + chunk.size()));
    left -= rows;
  }
  if (reads.empty()) return;
  run(batch);
  for (const auto& [text, tokens] : reads) {
    text->computed_.assign(tokens.begin(), tokens.end());
    text->publish(tokens);
  }
}

void DraftModel::foretell(std::span<const Request> requests, GoesOn goes_on) {
  run_ahead(requests, goes_on);
  for (const Request& request : requests) request.text->spell();
}

void DraftModel::run_ahead(std::span<const Request> requests, GoesOn goes_on) {
  struct Active {
    size_t request;
    std::vector<Token> tokens;  // with what was foretold
    double chance = 1;
  };
  std::vector<Active> active;
  for (size_t i = 0; i < requests.size(); ++i) {
    DraftedText& text = *requests[i].text;
    text.levels_.clear();
    text.here_ = 0;
    if (std::ssize(active) == model_.limits().wanted_rows) continue;
    if (goes_on(i, 0, 1, static_cast<int>(requests.size())))
      active.push_back({i, {requests[i].tokens.begin(), requests[i].tokens.end()}});
  }
  while (!active.empty()) {
    Batch batch;
    std::erase_if(active, [&](const Active& a) {
      const Request& request = requests[a.request];
      DraftedText& text = *request.text;
      text.keep_common(a.tokens);
      const int done = static_cast<int>(text.computed_.size());
      const int size = static_cast<int>(a.tokens.size());
      if (batch.rows() + size - done > model_.limits().rows) return true;
      if (!reserve(request, size, requests)) return true;
      batch.add_chain(std::span(a.tokens).subspan(text.computed_.size()), done,
                      text.blocks_.blocks());
      batch.wanted.push_back(batch.rows() - 1);
      return false;
    });
    if (active.empty()) return;
    const HostRows logits = run(batch);
    const int texts = static_cast<int>(active.size());
    int row = 0;
    std::erase_if(active, [&](Active& a) {
      const Request& request = requests[a.request];
      DraftedText& text = *request.text;
      text.computed_ = a.tokens;
      if (text.levels_.empty()) text.publish(request.tokens);
      if (!text.sampler_) text.sampler_ = request.sampler->twin();
      if (text.levels_.empty()) text.sampler_->follow(*request.sampler);
      const auto level =
          drawer_.draw(*text.sampler_, logits.row(row++), a.tokens, request.prompt_size);
      if (!level) return true;
      text.levels_.push_back(*level);
      a.tokens.push_back(level->token);
      a.chance *= request.rates->rate(level->bucket);
      const int depth = static_cast<int>(text.levels_.size());
      return depth >= request.most || !goes_on(a.request, depth, a.chance, texts);
    });
  }
}

}  // namespace tessera
