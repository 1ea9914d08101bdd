// Fills a model's tensors from a checkpoint, repacked into the backend's memory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/shortcuts.h"
#include "model/tensors.h"

namespace tessera {

// Every tensor must be there, with the shape that the visit says and in a supported format; Error
// otherwise.
class Loader final : public TensorVisitor {
 public:
  using Progress = std::function<void(size_t done, size_t total)>;  // in tensors; may be empty
  // What is loaded in place of a tensor of the checkpoint, of the same shape; nullptr: itself.
  using Instead = std::function<const StoredTensor*(const StoredTensor& tensor)>;

  // All must outlive it.
  Loader(const Checkpoint& checkpoint, Backend& backend, const Progress& on_progress,
         const ModelShortcuts& shortcuts = {}, const Instead& instead = {})
      : checkpoint_(checkpoint),
        backend_(backend),
        on_progress_(on_progress),
        shortcuts_(shortcuts),
        instead_(instead) {}

  void enter(int layer) override { layer_ = layer; }
  void matrix(std::string_view label, std::initializer_list<StoredRows> parts, int columns,
              std::unique_ptr<Matrix>& into) override;
  void vector(std::initializer_list<StoredRows> parts, Presence presence,
              std::unique_ptr<Vector>& into) override;
  void values(StoredRows stored, Presence presence, std::vector<float>& into) override;
  void constant(int length, float value, std::unique_ptr<Vector>& into) override;

  // A tensor [rows, columns] that stays in the checkpoint.
  const StoredTensor& take(TensorPlace place, int64_t columns, int64_t rows);
  // A tensor that somebody else reads, if it is there.
  void mark_taken(TensorPlace place) { taken_.insert(checkpoint_.find(place)); }
  // Error for a tensor that nobody took: ignoring one would give wrong answers silently.
  void require_all_taken() const;

  size_t matrix_bytes() const { return matrix_bytes_; }  // of all matrices, in the backend

 private:
  bool is_absent(StoredRows stored, Presence presence);
  std::vector<float> decode(StoredRows stored);
  const Format* recoding(const StoredTensor& tensor) const;

  const Checkpoint& checkpoint_;
  Backend& backend_;
  const Progress on_progress_;
  const ModelShortcuts shortcuts_;
  const Instead instead_;
  int layer_ = kNoLayer;
  std::unordered_set<const StoredTensor*> taken_;
  std::map<TensorRole, int> present_, absent_;  // of optional roles: in how many layers
  size_t matrix_bytes_ = 0;
};

}  // namespace tessera
