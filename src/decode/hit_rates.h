// How often guesses of each kind turn out right.
#pragma once

#include <span>
#include <vector>

namespace tessera {

// One rate for each bucket, that follows what is seen and forgets what is long ago. It begins at
// a prior, which counts as a few trials.
class HitRates {
 public:
  HitRates() = default;
  explicit HitRates(std::span<const float> priors);
  // Of one text, whose prior is what others have shown so far.
  static HitRates like(const HitRates& others);

  void observe(int bucket, bool hit);
  double rate(int bucket) const { return rate(bucket, 1); }
  // Of `count` buckets from `first` on, together.
  double rate(int first, int count) const;

 private:
  struct Bucket {
    double hits, trials;
  };
  std::vector<Bucket> buckets_;
};

}  // namespace tessera
