// How far a student is from a teacher (Hinton et al. 2015, arXiv 1503.02531), and its way back.
//
//   loss = T^2 KL(p || q),  p = softmax(teacher / T),  q = softmax(student / T)
//   d loss / d student = T (q - p)
//
// T^2 keeps gradients of one size, whatever the temperature. Of a teacher of whom only the largest
// logits are kept, the other tokens are one event beside those that are kept, of the probability
// that is left in p and in q: so both stay distributions, and the student decides for itself how
// the rest is spread. The way back is then T q_i (1 - p_rest / q_rest) for each token of the rest.
#pragma once

#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

struct DivergenceShape {
  float temperature = 1;  // T > 0
  int kept = 0;           // of the teacher's logits, the largest, the first of equal ones; 0: all
};

// teacher, student [rows, vocabulary]. The sum over rows, in their order; 0 where both are equal.
double divergence(ThreadPool& pool, DivergenceShape shape, HostRows teacher, HostRows student);
// The same; dstudent += factor d loss / d student.
double divergence_back(ThreadPool& pool, DivergenceShape shape, HostRows teacher, HostRows student,
                       float factor, HostTensor dstudent);

}  // namespace tessera::train
