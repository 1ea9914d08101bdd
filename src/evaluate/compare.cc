#include "evaluate/compare.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "evaluate/bench.h"

namespace tessera {
namespace {

// The reference's logits at the scored positions of some chunks.
class KeptLogits {
 public:
  explicit KeptLogits(int vocabulary) : vocabulary_(static_cast<size_t>(vocabulary)) {}

  int vocabulary() const { return static_cast<int>(vocabulary_); }
  // Chunks whose logits fit into so many bytes; at least one.
  int chunks_in(size_t bytes, const ScoredText& text) const {
    const size_t chunk = static_cast<size_t>(text.scored_in_chunk()) * vocabulary_ * sizeof(float);
    return static_cast<int>(std::max<size_t>(1, bytes / chunk));
  }
  void clear() { logits_.clear(); }
  void add(std::span<const float> row) { logits_.insert(logits_.end(), row.begin(), row.end()); }
  std::span<const float> row(size_t position) const {
    return std::span(logits_).subspan(position * vocabulary_, vocabulary_);
  }

 private:
  size_t vocabulary_;
  std::vector<float> logits_;
};

ComparedModel describe(const std::string& name, const Session& session,
                       const CompareOptions& options) {
  ComparedModel model{.name = name, .divergence = {}};
  uint64_t weights = 0;
  for (const StoredTensor& tensor : session.checkpoint->tensors()) {
    model.bytes += tensor.stored_bytes();
    weights += tensor.elements();
  }
  if (weights > 0)
    model.bits_per_weight = 8 * static_cast<double>(model.bytes) / static_cast<double>(weights);
  if (options.generate > 0) {
    const BenchOptions decode{.prompt = {},
                              .generate = {options.generate},
                              .verify = {},
                              .kv_format = options.score.kv_format};
    model.tokens_per_second = run_bench(*session.model, decode).front().tokens_per_second;
  }
  return model;
}

// Models read the text in rounds of chunks, the reference first in each.
class Rounds {
 public:
  Rounds(const std::vector<std::string>& names, const CompareOptions& options)
      : names_(names), options_(options), sums_(names.size()) {}

  // The first model of the first round.
  void begin(const Session& reference, std::string_view text) {
    text_ = cut_scored_text(*reference.tokenizer, text, options_.score);
    kept_.emplace(reference.model->config().vocabulary);
    in_round_ = kept_->chunks_in(options_.logit_bytes, text_);
  }
  bool has_begun() const { return kept_.has_value(); }
  // Another round; false if there is none.
  bool advance() {
    first_ += in_round_;
    return first_ < text_.chunks;
  }

  // A model's part of this round, by its number.
  void read(size_t number, const Session& session) {
    Model& model = *session.model;
    if (model.config().vocabulary != kept_->vocabulary()) {
      fail("'{}' has a vocabulary of {}, the reference one of {}", printable(names_[number], 400),
           model.config().vocabulary, kept_->vocabulary());
    }
    if (first_ == 0) models_.push_back(describe(names_[number], session, options_));
    Reader reader(model, options_.score.context, options_.score.kv_format);
    if (number == 0) return read_reference(reader);
    size_t position = 0;
    read_chunks(names_[number], reader, [&](std::span<const HostRows> logits, int r, Token next) {
      sums_[number].add(kept_->row(position++), logits[0].row(r), next);
    });
  }

  Comparison result() {
    Comparison result;
    for (size_t m = 0; m < models_.size(); ++m)
      models_[m].divergence = sums_[m].result(text_.chunks);
    models_[0].divergence.model = loss_.result(text_.chunks);
    result.reference = models_[0];
    result.models.assign(models_.begin() + 1, models_.end());
    return result;
  }

 private:
  void read_reference(Reader& reader) {
    kept_->clear();
    read_chunks(names_[0], reader, [&](std::span<const HostRows> logits, int r, Token next) {
      const auto row = logits[0].row(r);
      kept_->add(row);
      loss_.add(-log_probability(row, next));
    });
  }

  void read_chunks(const std::string& name, Reader& reader, Score score) {
    for (int chunk = first_; chunk < std::min(first_ + in_round_, text_.chunks); ++chunk) {
      try {
        score_chunk(std::span(&reader, 1), text_, chunk, score);
      } catch (const Error& error) {
        fail("'{}': {}", printable(name, 400), error.what());
      }
      const size_t all = names_.size() * static_cast<size_t>(text_.chunks);
      if (options_.score.on_progress) options_.score.on_progress(++chunks_done_, all);
    }
  }

  const std::vector<std::string>& names_;
  const CompareOptions& options_;
  ScoredText text_;
  std::optional<KeptLogits> kept_;
  int first_ = 0, in_round_ = 0;  // chunks
  size_t chunks_done_ = 0;        // of all models
  PerplexitySums loss_;           // of the reference
  std::vector<DivergenceSums> sums_;
  std::vector<ComparedModel> models_;
};

}  // namespace

Comparison compare_models(const std::vector<std::string>& names,
                          const std::function<Session(size_t)>& load, std::string_view text,
                          const CompareOptions& options) {
  Rounds rounds(names, options);
  do {
    for (size_t m = 0; m < names.size(); ++m) {
      const Session session = load(m);
      if (!rounds.has_begun()) rounds.begin(session, text);
      rounds.read(m, session);
    }
  } while (rounds.advance());
  return rounds.result();
}

std::vector<bool> pareto_front(const std::vector<ComparedModel>& models) {
  const auto is_better = [](const ComparedModel& a, const ComparedModel& b) {
    const double near_a = a.divergence.mean_kl, near_b = b.divergence.mean_kl;
    return a.bytes <= b.bytes && near_a <= near_b && (a.bytes < b.bytes || near_a < near_b);
  };
  std::vector<bool> front;
  for (const ComparedModel& model : models) {
    front.push_back(std::ranges::none_of(
        models, [&](const ComparedModel& other) { return is_better(other, model); }));
  }
  return front;
}

}  // namespace tessera
