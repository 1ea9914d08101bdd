// A constraint for which memory runs out.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <vector>

#include "grammar/constraint.h"

namespace tessera::test {

// Allows everything, until it was asked `times` times: then it throws bad_alloc, as an allocation
// would in the middle of a step.
class FailingConstraint final : public ConstraintSource {
 public:
  explicit FailingConstraint(int times) : times_(times) {}

  std::unique_ptr<Constraint> start() const override { return std::make_unique<Failing>(times_); }

 private:
  class Failing final : public Constraint {
   public:
    explicit Failing(int times) : left_(times), all_(4096, ~uint64_t{0}) {}
    std::span<const uint64_t> allowed() override {
      if (left_-- == 0) throw std::bad_alloc();
      return all_;
    }
    bool complete() override { return true; }
    void accept(Token) override {}

   private:
    int left_;
    std::vector<uint64_t> all_;
  };

  int times_;
};

}  // namespace tessera::test
