// What a long run has done so far, in a folder, so that the next one can go on from there.
//
// A layer's encoded tensors are a file; so are the rows of the text behind the last layer that is
// finished. Each appears when it is complete, the rows last: whatever moment a run dies at, what is
// there is whole, and what is made of it is what an undisturbed run makes, byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compress/quantize.h"

namespace tessera {

class WorkFolder {
 public:
  struct LayerResult {
    // By the tensor's number in the checkpoint.
    std::map<size_t, std::vector<std::byte>> tensors;
    // Of those, what quantizing found out of each: the errors, and rows that kept their codes.
    std::map<size_t, QuantizedTensor> summaries;
  };

  // Makes the folder if there is none. `run` says what is run: all that decides what comes of it.
  // Error if the folder holds another run's work, or other people's files.
  WorkFolder(std::filesystem::path folder, std::string_view run);

  // Layers [0, finished()) need not be done again.
  int finished() const { return finished_; }
  void keep(int layer, const LayerResult& result, std::span<const float> rows);
  // Of a finished layer. Error if the file is not what keep() wrote.
  LayerResult read(int layer) const;
  // Those behind layer finished() - 1, of this many values.
  void read_rows(std::span<float> rows) const;

  // A value that took long to find, by a name of its own; "" if nobody kept it.
  std::string find(std::string_view name);
  void keep(std::string_view name, std::string_view value);

  // The run is done: nothing of it stays, nor does the folder if there is nothing else in it.
  void remove();

 private:
  std::filesystem::path layer_path(int layer) const;

  std::filesystem::path folder_;
  int finished_ = 0;
  std::vector<std::string> names_;  // of values
};

}  // namespace tessera
