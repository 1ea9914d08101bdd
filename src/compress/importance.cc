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
      const int matrices =
          is_of_experts(*point)
              ? calibration.config().layers[static_cast<size_t>(layer)].experts.count
              : 1;
      Imatrix::Entry& entry = imatrix.entries[written_name(*checkpoint, tensor)];
      for (int m = 0; m < matrices; ++m) {
        const auto inputs = moments.find({*point, m});
        if (inputs == moments.end()) {  // an expert that no row chose
          entry.sums.resize(entry.sums.size() + tensor.columns());
          entry.counts.push_back(0);
          continue;
        }
        for (const double sum : inputs->second.squares()) {
          if (!std::isfinite(sum))
            fail("the activations that '{}' multiplies are not finite", printable(tensor.name));
          entry.sums.push_back(static_cast<float>(sum));
        }
        entry.counts.push_back(static_cast<float>(inputs->second.rows()));
      }
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
