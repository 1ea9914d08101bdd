// Rotary position embedding and its scalings, in double precision.
#pragma once

#include <cstddef>
#include <span>

#include "support/oracle_file.h"

namespace tessera::oracle {

struct Rotation {
  Vector frequency;  // of each pair
  double magnitude = 1;
};

class OracleRotary {
 public:
  OracleRotary(const OracleFile& file, int context);

  // Of so many dimensions of a head; `is_scaled`: as the file says.
  Rotation rotation(int dimensions, double base, bool is_scaled) const;
  void rotate(const Rotation& rotation, double position, std::span<double> x) const;
  int original_context() const { return original_context_; }

 private:
  void stretch(Rotation& rotation, double base) const;
  double yarn_kept(size_t pair, size_t rotated, double base) const;

  const OracleFile& f_;
  int context_, original_context_;
};

}  // namespace tessera::oracle
