// What encodes the matrices of one layer, once a text has shown what they multiply.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/stored_tensor.h"
#include "compress/calibration.h"
#include "compress/methods/method.h"

namespace tessera {

class LayerEncoders {
 public:
  // `inputs`, which must outlive it, may be used up. `rows`: of the text; `experts`: of the layer.
  LayerEncoders(const Method& method, const MethodOptions& options, InputsOfLayer& inputs,
                uint64_t rows, int experts, ThreadPool& pool)
      : method_(method),
        options_(options),
        inputs_(inputs),
        fewest_rows_(kLeastShare * static_cast<double>(rows)),
        experts_(experts),
        pool_(pool) {}

  // For the tensor's matrices in that format: one, or one for each expert. An expert that fewer
  // than kLeastShare of the text's rows chose, of whose inputs too little is known, is rounded to
  // nearest, or loses its smallest weights; so are tensors whose inputs are not observed. Must not
  // outlive this. Error if the method does not know the format.
  static constexpr double kLeastShare = 0.005;
  std::vector<std::unique_ptr<RowEncoder>> of(const StoredTensor& tensor, const Format& format);
  // Those that were, in order.
  const std::set<int>& rounded_experts() const { return rounded_experts_; }

 private:
  std::unique_ptr<RowEncoder> at(TapPlace place, const Format& format);
  std::unique_ptr<RowEncoder> of_expert(TapPlace place, const Format& format);

  const Method& method_;
  const MethodOptions& options_;
  InputsOfLayer& inputs_;
  double fewest_rows_;
  int experts_;
  ThreadPool& pool_;
  std::map<TapPlace, std::unique_ptr<PreparedInputs>> prepared_;
  std::set<int> rounded_experts_;
};

}  // namespace tessera
