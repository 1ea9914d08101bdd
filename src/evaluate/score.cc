#include "evaluate/score.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/reader.h"

namespace tessera {
namespace {

// Mean and its standard error, of values that arrive one by one (Welford 1962).
class Mean {
 public:
  void add(double value) {
    ++count_;
    const double delta = value - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (value - mean_);
  }
  double value() const { return mean_; }
  double standard_error() const {
    return count_ < 2 ? 0
                      : std::sqrt(squares_ / static_cast<double>(count_ - 1) /
                                  static_cast<double>(count_));
  }
  long count() const { return count_; }

 private:
  long count_ = 0;
  double mean_ = 0, squares_ = 0;
};

struct Text {
  std::vector<Token> tokens;
  int chunks = 0;
};

Text split(const Tokenizer& tokenizer, std::string_view text, const ScoreOptions& options) {
  if (options.context < 2)
    fail("chunks of {} tokens score nothing, expected 2 or more", options.context);
  Text result;
  result.tokens = tokenizer.encode(text, {.add_special = true, .parse_special = false});
  result.chunks = static_cast<int>(result.tokens.size()) / options.context;
  if (result.chunks == 0) {
    fail("the text has {} tokens, one chunk needs {}", result.tokens.size(), options.context);
  }
  if (options.chunks > 0) result.chunks = std::min(result.chunks, options.chunks);
  return result;
}

// Calls score(logits of the readers, row, the token that came next) at each scored position. The
// readers go in step: what each thinks of a position is there together.
template <typename Score>
void for_each_scored(std::span<Reader> readers, const Tokenizer& tokenizer, const Text& text,
                     const ScoreOptions& options, Score score) {
  const int half = options.context / 2, scored = options.context - 1 - half;
  int rows = scored;
  for (const Reader& reader : readers) {
    rows = std::min(rows, reader.most_rows(Reader::Logits::kAll));
  }
  std::vector<HostRows> logits(readers.size());
  std::vector<std::vector<float>> kept(readers.size());
  for (int c = 0; c < text.chunks; ++c) {
    const auto begin = text.tokens.begin() + static_cast<ptrdiff_t>(c) * options.context;
    std::vector<Token> chunk(begin, begin + options.context);
    if (tokenizer.adds_bos()) chunk[0] = *tokenizer.bos();
    for (Reader& reader : readers) {
      reader.rewind();
      reader.read(std::span(chunk).first(half));
    }
    for (int first = half; first < half + scored; first += rows) {
      const int count = std::min(rows, half + scored - first);
      for (size_t i = 0; i < readers.size(); ++i) {
        logits[i] = readers[i].step(std::span(chunk).subspan(first, count), Reader::Logits::kAll);
        // The next reader's step may end what was downloaded: they may share a backend, or a model.
        if (i + 1 < readers.size()) logits[i] = logits[i].copy(kept[i]);
      }
      for (int r = 0; r < count; ++r) score(logits, r, chunk[first + r + 1]);
    }
    if (options.on_progress) options.on_progress(c + 1, text.chunks);
  }
}

// The value that a share of all values lies below; reorders them. 0 if there are none.
double quantile(std::span<double> values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

double log_sum_exp(std::span<const float> logits) {
  const double peak = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - peak);
  return peak + std::log(sum);
}

Perplexity finish(const Mean& negative_log_likelihood, int chunks) {
  const double value = std::exp(negative_log_likelihood.value());
  return {.value = value,
          .standard_error = value * negative_log_likelihood.standard_error(),
          .chunks = chunks,
          .scored_tokens = negative_log_likelihood.count()};
}

}  // namespace

double log_probability(std::span<const float> logits, Token token) {
  return logits[token] - log_sum_exp(logits);
}

Perplexity measure_perplexity(Model& model, const Tokenizer& tokenizer, std::string_view text,
                              const ScoreOptions& options) {
  const Text split_text = split(tokenizer, text, options);
  Reader reader(model, options.context, options.kv_format);
  Mean loss;
  for_each_scored(std::span(&reader, 1), tokenizer, split_text, options,
                  [&](std::span<const HostRows> logits, int r, Token next) {
                    loss.add(-log_probability(logits[0].row(r), next));
                  });
  return finish(loss, split_text.chunks);
}

Divergence measure_divergence(Model& model, Model& reference, const Tokenizer& tokenizer,
                              std::string_view text, const ScoreOptions& options) {
  if (model.config().vocabulary != reference.config().vocabulary) {
    fail("the models have vocabularies of {} and {}", model.config().vocabulary,
         reference.config().vocabulary);
  }
  const Text split_text = split(tokenizer, text, options);
  Reader readers[] = {{model, options.context, options.kv_format},
                      {reference, options.context, options.kv_format}};
  Mean loss, reference_loss, divergence, same_top;
  std::vector<double> all_kl;
  for_each_scored(readers, tokenizer, split_text, options,
                  [&](std::span<const HostRows> logits, int r, Token next) {
                    const auto q = logits[0].row(r), p = logits[1].row(r);
                    const double log_zq = log_sum_exp(q), log_zp = log_sum_exp(p);
                    double kl = 0;
                    for (size_t v = 0; v < p.size(); ++v) {
                      const double log_p = p[v] - log_zp;
                      kl += std::exp(log_p) * (log_p - (q[v] - log_zq));
                    }
                    divergence.add(kl);
                    all_kl.push_back(kl);
                    same_top.add(std::ranges::max_element(p) - p.begin() ==
                                         std::ranges::max_element(q) - q.begin()
                                     ? 1
                                     : 0);
                    loss.add(log_zq - q[next]);
                    reference_loss.add(log_zp - p[next]);
                  });
  return {.mean_kl = divergence.value(),
          .standard_error = divergence.standard_error(),
          .median_kl = quantile(all_kl, 0.5),
          .high_kl = quantile(all_kl, 0.999),
          .max_kl = quantile(all_kl, 1),
          .same_top = same_top.value(),
          .model = finish(loss, split_text.chunks),
          .reference = finish(reference_loss, split_text.chunks)};
}

}  // namespace tessera
