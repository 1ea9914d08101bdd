#include "train/state_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "files/gguf/reader.h"
#include "files/gguf/writer.h"

namespace tessera::train {
namespace {

constexpr const char* kType = "training";
constexpr const char* kIdentity = "training.identity";
constexpr const char* kStep = "training.step";
constexpr const char* kLearned = "training.loss";
constexpr const char* kHeldOut = "training.held_out.loss";
constexpr const char* kHeldOutSteps = "training.held_out.steps";

// Which of the file's tensors holds memory[i],
std::string tensor_name(size_t i) {
  return fmt::format("memory.{}", i);
}
// and as what.
const Format& bytes_format() {
  return *find_format("I8");
}

}  // namespace

void write_state(const TrainingState& state, std::span<const std::span<std::byte>> memory,
                 const std::filesystem::path& path) {
  std::vector<double> losses;
  std::vector<int32_t> steps;
  for (const LossCurve::Point& point : state.curve.held_out) {
    losses.push_back(point.loss);
    steps.push_back(point.step);
  }
  GgufMetadata metadata;
  metadata.set("general.architecture", {std::string(kType)});
  metadata.set("general.type", {std::string(kType)});
  metadata.set(kIdentity, {state.identity});
  metadata.set(kStep, {static_cast<int32_t>(state.step)});
  metadata.set(kLearned, {GgufValue::Array(state.curve.learned)});
  metadata.set(kHeldOut, {GgufValue::Array(std::move(losses))});
  metadata.set(kHeldOutSteps, {GgufValue::Array(std::move(steps))});
  GgufWriter writer(std::move(metadata));
  for (size_t i = 0; i < memory.size(); ++i)
    writer.declare(tensor_name(i), bytes_format(), {memory[i].size()});
  writer.write(
      path, [&](size_t i) { return std::vector<std::byte>(memory[i].begin(), memory[i].end()); });
}

TrainingState read_state(const std::filesystem::path& path) {
  const GgufFile file = GgufFile::open(path);
  const GgufMetadata& metadata = file.metadata();
  const std::string shown = printable(path.string(), 400);
  if (metadata.get_string("general.type").value_or("") != kType)
    fail("'{}' is no state of a training", shown);
  TrainingState state;
  state.identity = metadata.require_string(kIdentity);
  const int64_t step = metadata.require_int(kStep);
  const auto learned = metadata.get_floats(kLearned).value_or(std::vector<float>());
  const auto* held_out = metadata.find(kHeldOut);
  const auto steps = metadata.get_ints(kHeldOutSteps).value_or(std::vector<int64_t>());
  const auto* array =
      held_out == nullptr ? nullptr : std::get_if<GgufValue::Array>(&held_out->value);
  const auto* losses = array == nullptr ? nullptr : std::get_if<std::vector<double>>(array);
  if (step < 0 || learned.size() != static_cast<uint64_t>(step) || losses == nullptr ||
      losses->size() != steps.size())
    fail("'{}': the state's curve does not fit its step {}", shown, step);
  state.step = static_cast<int>(step);
  state.curve.learned = learned;
  for (size_t i = 0; i < steps.size(); ++i)
    state.curve.held_out.push_back({static_cast<int>(steps[i]), (*losses)[i]});
  return state;
}

void read_memory(const std::filesystem::path& path, std::span<const std::span<std::byte>> memory) {
  const GgufFile file = GgufFile::open(path);
  bool fits = file.tensors().size() == memory.size();
  for (size_t i = 0; fits && i < memory.size(); ++i) {
    const StoredTensor* tensor = file.find_tensor(tensor_name(i));
    fits = tensor != nullptr && tensor->format == &bytes_format() &&
           tensor->bytes.size() == memory[i].size();
  }
  if (!fits) {
    fail("'{}' does not hold the values of this training", printable(path.string(), 400));
  }
  for (size_t i = 0; i < memory.size(); ++i)
    std::ranges::copy(file.require_tensor(tensor_name(i)).bytes, memory[i].begin());
}

}  // namespace tessera::train
