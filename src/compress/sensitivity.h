// What rounding each tensor to each format costs the model, measured.
//
// The predictions of a model with many small errors diverge from its own by about the sum over its
// matrices of a * t^2: t^2 the squared error of the matrix's products relative to their squares, a
// a factor of the matrix alone (the linearity theorem of HIGGS, Malinovskii et al. 2024, there with
// the error of the weights). t^2 is found for every format on a sample of the rows, as the method
// encodes them (output_errors.h). a is found by an error of known size and what it does to the
// predictions over a few pieces of text (disturbance.h): of attention's matrices and of the
// feed-forward network's in each layer together, which are then told apart by what they do to that
// layer's output.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "compress/calibration.h"
#include "compress/lora_merge.h"
#include "compress/methods/method.h"
#include "compress/scalings/scaling.h"
#include "devices/device.h"
#include "files/imatrix.h"

namespace tessera {

struct Sensitivity {
  size_t tensor = 0;                   // its number in the checkpoint
  std::vector<const Format*> formats;  // that it can have
  std::vector<double> errors;          // t^2 by each of them
  double factor = 1;                   // a, in nats a token
};

// The floats that a file has or would have, and every grid of blocks that llama.cpp's users know
// and the tensor's columns are a whole number of.
std::vector<const Format*> possible_formats(const StoredTensor& tensor);

// What is measured, and how it will be encoded. All must outlive the measurement.
struct MeasuredModel {
  std::shared_ptr<const Checkpoint> checkpoint;
  const Device& device;
  const LoraMerge& merge;
  const ChosenMethod& method;  // without the scales that it may move first
  const MethodOptions& method_options;
  const Imatrix& imatrix;
  std::function<void(double share)> progress = {};
};

// Of the tensors with these numbers. Formats that the method cannot encode a tensor to are left
// out. Errors as for quantize_file().
std::vector<Sensitivity> measure_sensitivity(const MeasuredModel& model,
                                             std::span<const size_t> tensors,
                                             const CalibrationText& text);
// Without a text: errors as rounding to nearest makes them, weighed by the importance matrix if
// there is one, and all factors alike.
std::vector<Sensitivity> measure_errors(const MeasuredModel& model,
                                        std::span<const size_t> tensors);

}  // namespace tessera
