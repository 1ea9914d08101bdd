#include "compress/tensor_encoder.h"

#include <memory>

#include "compress/importance.h"
#include "compress/magnitudes.h"
#include "compress/recoder.h"
#include "model/taps.h"

namespace tessera {

TensorEncoder::TensorEncoder(const Checkpoint& model, std::span<const PlannedFormat> plan,
                             const Method& method, const MethodOptions& options,
                             const LoraMerge& merge, const Imatrix& imatrix, bool has_text,
                             ThreadPool& pool)
    : model_(model),
      plan_(plan),
      method_(method),
      options_(options),
      merge_(merge),
      imatrix_(imatrix),
      has_text_(has_text),
      pool_(pool) {
  if (options.sparsity.scope != SparsityScope::kGlobal) return;
  std::vector<StoredTensor> pruned;
  for (size_t i = 0; i < plan.size(); ++i) {
    if (is_pruned(i)) pruned.push_back(source_of(i));
  }
  options_.sparsity.threshold = magnitude_of_share(pruned, options.sparsity.share, pool);
}

bool TensorEncoder::is_pruned(size_t number) const {
  return method_.prunes && !has_text_ && plan_[number].format->encode != nullptr &&
         input_of(model_.tensors()[number].place.role).has_value();
}

StoredTensor TensorEncoder::source_of(size_t number) const {
  const StoredTensor& tensor = model_.tensors()[number];
  return merge_.changes(tensor) ? merge_.merged(tensor) : tensor;
}

std::vector<std::byte> TensorEncoder::encode(size_t number, QuantizedTensor& summary) {
  const StoredTensor& stored = model_.tensors()[number];
  const Format& format = *plan_[number].format;
  if (&format == stored.format && stored.order == nullptr && !merge_.changes(stored) &&
      !is_pruned(number)) {
    const bool is_vector = stored.shape.size() == 1 && format.encode != nullptr;
    if (is_vector) require_finite(stored, pool_);  // of a norm, one makes every prediction NaN
    std::vector<std::byte> bytes;
    const auto rows = stored.read(0, stored.rows(), bytes);
    if (bytes.empty()) bytes.assign(rows.begin(), rows.end());
    return bytes;
  }
  const StoredTensor source = source_of(number);
  Sparsity& sparsity = options_.sparsity;
  if (sparsity.scope == SparsityScope::kLayer && is_pruned(number))
    sparsity.threshold = magnitude_of_share({&source, 1}, sparsity.share, pool_);
  const auto encoder = [&](std::span<const float> importance) {
    return encoder_without_text(method_, stored.place, format, importance, options_);
  };
  std::vector<std::unique_ptr<RowEncoder>> encoders;
  for (const auto& importance : importances_of(imatrix_, model_, stored))
    encoders.push_back(encoder(importance));
  if (encoders.empty()) encoders.push_back(encoder({}));
  return recode(source, format, encoders, pool_, summary);
}

}  // namespace tessera
