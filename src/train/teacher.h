// Whom a student learns from: a model as it serves, in any format, bigger than the student or what
// the student is before it is quantized.
#pragma once

#include <span>
#include <vector>

#include "base/host_tensor.h"
#include "model/model.h"
#include "train/example.h"

namespace tessera::train {

class Teacher {
 public:
  virtual ~Teacher() = default;

  virtual int vocabulary() const = 0;
  virtual int embedding() const = 0;
  // Reads the examples; what is asked for behind it is of their rows that have a target, numbered
  // from 0 on.
  virtual void read(std::span<const Example> examples) = 0;
  // What the output matrix multiplies, [count, embedding()], of rows [first, first + count).
  virtual HostRows hidden(int first, int count) const = 0;
  // [count, vocabulary()], valid until the next call.
  virtual HostRows logits(int first, int count) = 0;
};

// Keeps hidden states only: logits of a thousand rows would take 200 MB in a vocabulary of 50000.
class ModelTeacher final : public Teacher {
 public:
  // With room for whole examples; stays where it is for as long as this lives. Error for a model
  // without logits.
  explicit ModelTeacher(Model& model);

  int vocabulary() const override { return model_.logits(); }
  int embedding() const override { return model_.config().embedding; }
  void read(std::span<const Example> examples) override;
  HostRows hidden(int first, int count) const override;
  HostRows logits(int first, int count) override;

 private:
  Model& model_;
  std::vector<float> hidden_;
  Tensor some_, logits_;  // of rows whose logits are computed together
};

}  // namespace tessera::train
