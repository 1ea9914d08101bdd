// The one map between what tensors do and what one kind of checkpoint calls them.
#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/tensor_role.h"

namespace tessera {

inline constexpr int kNoLayer = -1;

// What a tensor does, and in which layer.
struct TensorPlace {
  TensorRole role = TensorRole::kUnknown;
  int layer = kNoLayer;  // kNoLayer: it belongs to the model as a whole

  auto operator<=>(const TensorPlace&) const = default;
};

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
