// The one map between what tensors do and what one kind of checkpoint calls them.
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_role.h"

namespace tessera {

inline constexpr int kNoLayer = -1;

// What a tensor does, and in which layer.
struct TensorPlace {
  TensorRole role = TensorRole::kUnknown;
  int layer = kNoLayer;  // kNoLayer: it belongs to the model as a whole

  auto operator<=>(const TensorPlace&) const = default;
};

// The numbers that stand in `text` where `pattern` has its stars; none of them is negative. nullopt
// if the two do not fit.
std::optional<std::vector<int>> match_stars(std::string_view pattern, std::string_view text);

class TensorNames {
 public:
  struct Row {
    TensorRole role;
    std::string_view name;  // "*" stands for the layer's number: "blk.*.attn_q.weight"
  };
  // `rows` must outlive it. Roles and names are unique.
  explicit constexpr TensorNames(std::span<const Row> rows) : rows_(rows) {}

  // "" for a role that has no row.
  std::string name_of(TensorPlace place) const;
  // kUnknown for a name that no row fits.
  TensorPlace place_of(std::string_view name) const;

 private:
  std::span<const Row> rows_;
};

}  // namespace tessera
