// What a student loses that learns from a teacher (Hinton et al. 2015; DistilBERT, Sanh et al.
// 2019, arXiv 1910.01108):
//
//   alpha T^2 KL(softmax(teacher / T) || softmax(student / T)) + (1 - alpha) -log p(target)
//     + cosine (1 - cos(hidden states))
//
// of each row that has a target. Beyond the smaller of the two models' vocabularies, which may be
// padded differently, the teacher has nothing to say.
#pragma once

#include "base/thread_pool.h"
#include "model/config.h"
#include "train/loss.h"
#include "train/operations/divergence.h"
#include "train/teacher.h"

namespace tessera::train {

struct DistillationOptions {
  double alpha = 1;        // in [0, 1]: the teacher's share, beside the text's
  double temperature = 1;  // T > 0
  double cosine = 0;       // weight of the hidden states' direction
  int kept = 0;            // of a row of the teacher's logits, the largest; 0: all
};

class DistillationLoss final : public Loss {
 public:
  // `teacher` stays where it is for as long as this lives. Error for hidden states of another
  // width, if they are to be compared.
  DistillationLoss(ThreadPool& pool, Teacher& teacher, const Config& student,
                   const DistillationOptions& options);

  void begin(std::span<const Example> examples) override { teacher_.read(examples); }
  double of(const LossRows& rows) override;
  double differentiate(const LossRows& rows, float factor, HostTensor dhidden,
                       HostTensor dlogits) override;

 private:
  ThreadPool& pool_;
  Teacher& teacher_;
  DistillationOptions options_;
  DivergenceShape shape_;
};

}  // namespace tessera::train
