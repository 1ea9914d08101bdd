#include "compress/importance.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "compress/calibration.h"
#include "files/open.h"
#include "files/save.h"

namespace tessera {

Imatrix collect_importance(const std::filesystem::path& source, std::string_view text,
                           const ImportanceOptions& options) {
  const std::shared_ptr<const Checkpoint> checkpoint = open_checkpoint(source);
  const auto tokenizer = Tokenizer::make(checkpoint->read_tokenizer());
  CalibrationText cut = cut_text(*tokenizer, text, options.length, options.chunks);
  Imatrix imatrix;
  imatrix.datasets = {options.dataset};
  imatrix.chunks = static_cast<uint32_t>(cut.chunks());
  imatrix.chunk_tokens = static_cast<uint32_t>(cut.length);
  Calibration calibration(checkpoint, open_cpu(options.threads), std::move(cut));
  for (int layer = 0; layer < calibration.layers(); ++layer) {
    const auto say = [&](double share) {
      if (options.progress) options.progress(layer + share, calibration.layers());
    };
    const auto moments =
        calibration.observe(layer, InputMoments::Kind::kDiagonal, {}, say, Calibration::kAdvance);
    for (const StoredTensor& tensor : checkpoint->tensors()) {
      const auto point = input_of(tensor.place.role);
      if (tensor.place.layer != layer || !point) continue;
      const InputMoments& inputs = moments.at(*point);
      if (!std::ranges::all_of(inputs.squares(), [](double sum) { return std::isfinite(sum); }))
        fail("the activations that '{}' multiplies are not finite", printable(tensor.name));
      imatrix.entries[written_name(*checkpoint, tensor)] = {
          .sums = {inputs.squares().begin(), inputs.squares().end()},
          .counts = {static_cast<float>(inputs.rows())}};
    }
  }
  return imatrix;
}

std::vector<std::vector<float>> importances_of(const Imatrix& imatrix, const Checkpoint& model,
                                               const StoredTensor& tensor) {
  const auto found = imatrix.entries.find(written_name(model, tensor));
  if (found == imatrix.entries.end()) return {};
  const Imatrix::Entry& entry = found->second;
  const uint64_t matrices = tensor.shape.size() > 2 ? tensor.rows() / tensor.shape[1] : 1;
  if (entry.matrices() != matrices) return {};
  if (entry.columns() != tensor.columns()) {
    fail("the importance matrix has {} columns of '{}', the model {}", entry.columns(),
         printable(tensor.name), tensor.columns());
  }
  std::vector<std::vector<float>> importances(matrices);
  for (size_t m = 0; m < matrices; ++m) {
    if (matrices == 1 || entry.counts[m] >= kFewestRows) importances[m] = entry.means(m);
  }
  return importances;
}

std::vector<float> importance_of(const Imatrix& imatrix, const Checkpoint& model,
                                 const StoredTensor& tensor) {
  const auto importances = importances_of(imatrix, model, tensor);
  return importances.size() == 1 ? importances.front() : std::vector<float>();
}

}  // namespace tessera
