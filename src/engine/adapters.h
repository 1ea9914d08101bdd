// Which low-rank adapters a text goes through: from what is asked for to what the model is given.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "tessera/options.h"

namespace tessera {

// An adapter as it was loaded; its place in a list is its number.
struct LoadedAdapter {
  std::string name;  // unique
  std::string path;  // as it was given
  float scale = 1.0f;
};

// Their names: those of their files, with a number behind one that is taken.
std::vector<std::string> adapter_names(const std::vector<LoraFile>& files);

// Loads them for `model`, which `checkpoint` holds, and makes them its default by their scales.
// Error if one is malformed, does not fit, or asks for what is not supported.
std::vector<LoadedAdapter> load_adapters(const std::vector<LoraFile>& files,
                                         const Checkpoint& checkpoint, Model& model);

// What `asked` names, those of scale 0 left out; without it the model's default. Error for one that
// is not there or comes twice, and for a scale that is no number.
AdapterMix choose_adapters(const Model& model, const std::optional<std::vector<LoraUse>>& asked);

// Error unless it is a mix of `count` adapters as Batch wants it.
void validate_adapters(const AdapterMix& mix, int count);

// The error for an adapter that is not there.
[[noreturn]] void fail_unknown_adapter(int id, int count);

}  // namespace tessera
