// How far the direction of a student's hidden states is from that of a teacher's (DistilBERT, Sanh
// et al. 2019, arXiv 1910.01108), and its way back.
//
//   loss = 1 - cos,  cos = s t / (|s| |t|);  d loss / d s = (cos s / |s| - t / |t|) / |s|
#pragma once

#include "base/host_tensor.h"
#include "base/thread_pool.h"

namespace tessera::train {

// teacher, student [rows, columns]. The sum over rows, in their order; a row of zeros loses 1.
double cosine_distance(ThreadPool& pool, HostRows teacher, HostRows student);
// The same; dstudent += factor d loss / d student.
double cosine_distance_back(ThreadPool& pool, HostRows teacher, HostRows student, float factor,
                            HostTensor dstudent);

}  // namespace tessera::train
