#include "engine/adapters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/printable.h"
#include "engine/sequence.h"
#include "files/open_adapter.h"

namespace tessera {

void fail_unknown_adapter(int id, int count) {
  if (count == 0) fail("there is no LoRA adapter {}: none were loaded", id);
  fail("there is no LoRA adapter {}: {} were loaded, 0 to {}", id, count, count - 1);
}

std::vector<std::string> adapter_names(const std::vector<LoraFile>& files) {
  std::vector<std::string> names;
  for (const LoraFile& file : files) {
    const std::string own = adapter_name(file.path);
    std::string name = own;
    for (int number = 2; std::ranges::find(names, name) != names.end(); ++number)
      name = own + "-" + std::to_string(number);
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<LoadedAdapter> load_adapters(const std::vector<LoraFile>& files,
                                         const Checkpoint& checkpoint, Model& model) {
  const std::vector<std::string> names = adapter_names(files);
  std::vector<LoadedAdapter> loaded;
  AdapterMix usual;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto& [path, scale] = files[i];
    if (!std::isfinite(scale))
      fail("the scale of LoRA adapter '{}' is no number", printable(path, 400));
    const int number = model.add_adapter(open_adapter(path, checkpoint));
    if (scale != 0) usual.push_back({number, scale});
    loaded.push_back({names[i], path, scale});
  }
  model.set_default_adapters(std::move(usual));
  return loaded;
}

AdapterMix choose_adapters(const Model& model, const std::optional<std::vector<LoraUse>>& asked) {
  if (!asked) return model.default_adapters();
  AdapterMix mix;
  for (const LoraUse& use : *asked) {
    if (use.id < 0 || use.id >= model.adapters()) fail_unknown_adapter(use.id, model.adapters());
    if (!std::isfinite(use.scale)) fail("the scale of LoRA adapter {} is no number", use.id);
    mix.push_back({use.id, use.scale});
  }
  std::ranges::sort(mix, {}, &AdapterUse::adapter);
  const auto twice = std::ranges::adjacent_find(mix, {}, &AdapterUse::adapter);
  if (twice != mix.end()) fail("LoRA adapter {} is given twice", twice->adapter);
  std::erase_if(mix, [](const AdapterUse& use) { return use.scale == 0; });
  return mix;
}

void validate_adapters(const AdapterMix& mix, int count) {
  int last = -1;
  for (const AdapterUse& use : mix) {
    if (use.adapter < 0 || use.adapter >= count) fail_unknown_adapter(use.adapter, count);
    if (use.adapter <= last) fail("LoRA adapters are not in the order of their numbers");
    if (!std::isfinite(use.scale)) fail("the scale of LoRA adapter {} is no number", use.adapter);
    last = use.adapter;
  }
}

std::string variant_of(const AdapterMix& adapters) {
  std::string name;
  for (const AdapterUse& use : adapters) {
    char bytes[sizeof(use.adapter) + sizeof(use.scale)];
    std::memcpy(bytes, &use.adapter, sizeof(use.adapter));
    std::memcpy(bytes + sizeof(use.adapter), &use.scale, sizeof(use.scale));
    name.append(bytes, sizeof(bytes));
  }
  return name;
}

}  // namespace tessera
