// How many weights become zero, and which: those of the lowest scores, in groups of neighbours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "formats/format.h"

namespace tessera {

// Whose share it is that becomes zero, where weights are told apart by their magnitude alone.
enum class SparsityScope : uint8_t { kRow, kLayer, kGlobal };  // of each matrix, of all of them

struct Sparsity {
  double share = 0;  // of all weights of a group of whatever length
  int group = 0;     // N:M: share * group zeros in each group of so many columns; 0: any group
  // Instead of a share: scores that do not exceed it; nothing: the share.
  std::optional<float> threshold = {};
  SparsityScope scope = SparsityScope::kRow;  // beyond a row, a threshold is found first

  // Marks those that become zero: of each group, if there are such, else of all.
  void choose(std::span<const float> scores, std::vector<bool>& zero) const;
};

// "50%", "0.5" or "2:4": two zeros in four. Error for anything else, or outside [0, 1).
Sparsity parse_sparsity(std::string_view text);

// Error for a format without a code for zero, by a minimum or a codebook: what is pruned would not
// stay so.
void require_zero(const Format& format);

// "row", "layer" or "global". Error for anything else.
SparsityScope parse_sparsity_scope(std::string_view text);

// "50%" or "0.5", in [0, 1); nothing for anything else.
std::optional<double> parse_share(std::string_view text);

}  // namespace tessera
