// Quantizes a model's matrices layer by layer with a method that looks at their inputs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "compress/calibration.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/quantize.h"
#include "compress/recipes.h"
#include "compress/scalings/scaling.h"
#include "compress/work_folder.h"

namespace tessera {

class LayerQuantizer {
 public:
  // Bytes of the checkpoint's that are done with; may be empty.
  using Progress = std::function<void(double bytes)>;

  // All must outlive it. Layers that `work` has are taken from there, the others kept there.
  LayerQuantizer(std::shared_ptr<const Checkpoint> checkpoint, const Device& device,
                 CalibrationText text, const ChosenMethod& method, const MethodOptions& options,
                 std::span<const PlannedFormat> plan, const LoraMerge& merge,
                 WorkFolder* work = nullptr);

  // Is this tensor, by its number in the checkpoint, one whose inputs are observed?
  bool covers(size_t tensor) const;
  // Its bytes in the planned format; each tensor once. Quantizes layers up to its own, if that was
  // not done before.
  std::vector<std::byte> take(size_t tensor, std::span<QuantizedTensor> summaries,
                              const Progress& progress);

 private:
  void finish_next(std::span<QuantizedTensor> summaries, const Progress& progress);
  void quantize_next(std::span<QuantizedTensor> summaries, const Progress& progress);
  // Takes the text through a layer whose encoded tensors nobody has taken yet.
  void advance(int layer, const Calibration::Progress& progress);
  void find_folds();
  void warn_of_rounded_experts() const;
  bool can_encode(size_t tensor) const;
  uint64_t planned_bytes(size_t tensor) const;  // as it is encoded, whatever its file makes of that

  std::shared_ptr<const Checkpoint> checkpoint_;
  Device device_;
  Calibration calibration_;
  ChosenMethod method_;
  MethodOptions options_;
  std::span<const PlannedFormat> plan_;
  const LoraMerge& merge_;
  std::vector<std::vector<Fold>> folds_;  // of each layer, if scales move
  std::set<const StoredTensor*> scaled_;  // that they change
  WorkFolder* work_;
  int next_ = 0;
  int experts_ = 0, rounded_experts_ = 0;          // of the layers that were quantized
  std::map<size_t, std::vector<std::byte>> done_;  // tensors that nobody has taken yet
};

}  // namespace tessera
