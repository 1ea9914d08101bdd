#include "train/operations/cosine.h"

#include <cmath>
#include <numeric>
#include <vector>

namespace tessera::train {
namespace {

double distance_of_row(std::span<const float> teacher, std::span<const float> student,
                       double factor, float* to) {
  double product = 0, teachers = 0, students = 0;
  for (size_t i = 0; i < student.size(); ++i) {
    const auto t = static_cast<double>(teacher[i]), s = static_cast<double>(student[i]);
    product += t * s;
    teachers += t * t;
    students += s * s;
  }
  if (teachers == 0 || students == 0) return 1;
  const double both = std::sqrt(teachers * students), cosine = product / both;
  if (to != nullptr) {
    for (size_t i = 0; i < student.size(); ++i) {
      to[i] += static_cast<float>(factor * (cosine * static_cast<double>(student[i]) / students -
                                            static_cast<double>(teacher[i]) / both));
    }
  }
  return 1 - cosine;
}

double sum_of_distances(ThreadPool& pool, HostRows teacher, HostRows student, float factor,
                        const HostTensor* dstudent) {
  std::vector<double> losses(static_cast<size_t>(student.rows));
  pool.parallel_for(student.rows, [&](int r, int) {
    losses[static_cast<size_t>(r)] =
        distance_of_row(teacher.row(r), student.row(r), static_cast<double>(factor),
                        dstudent == nullptr ? nullptr : dstudent->row(r));
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace

double cosine_distance(ThreadPool& pool, HostRows teacher, HostRows student) {
  return sum_of_distances(pool, teacher, student, 0, nullptr);
}

double cosine_distance_back(ThreadPool& pool, HostRows teacher, HostRows student, float factor,
                            HostTensor dstudent) {
  return sum_of_distances(pool, teacher, student, factor, &dstudent);
}

}  // namespace tessera::train
