#include "train/student.h"

#include <charconv>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "files/kept_layers.h"
#include "files/model_reference.h"
#include "files/open.h"
#include "model/config.h"
#include "model/layer_choice.h"
#include "text/vocabulary_difference.h"
#include "train/network.h"

namespace tessera::train {
namespace {

constexpr std::string_view kLayers = "layers=";

std::vector<int> parse_numbers(std::string_view text) {
  std::vector<int> numbers;
  for (const char *at = text.data(), *const last = at + text.size();; ++at) {
    int number = -1;
    const auto [end, error] = std::from_chars(at, last, number);
    if (error != std::errc() || number < 0 || (end != last && *end != ','))
      fail("the student is 'layers={}', expected a number of layers, or their numbers with commas",
           printable(text));
    numbers.push_back(number);
    at = end;
    if (at == last) return numbers;
  }
}

}  // namespace

std::vector<int> parse_student_layers(std::string_view text, int layers) {
  const std::vector<int> numbers = parse_numbers(text);
  if (numbers.size() == 1) {
    if (numbers[0] < 1 || numbers[0] > layers)
      fail("the student is to have {} layers, expected 1 to the teacher's {}", numbers[0], layers);
    return spread_layers(layers, numbers[0]);
  }
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] >= layers)
      fail("layer {} is not there: the teacher has layers 0 to {}", numbers[i], layers - 1);
    if (i > 0 && numbers[i] <= numbers[i - 1])
      fail("layer {} behind layer {}: a student's layers are in their order, and each only once",
           numbers[i], numbers[i - 1]);
  }
  return numbers;
}

std::shared_ptr<const Checkpoint> open_student(std::string_view reference,
                                               std::shared_ptr<const Checkpoint> teacher,
                                               const Tokenizer& tokenizer) {
  if (reference.starts_with(kLayers)) {
    const Config config = read_config(*teacher);
    require_trainable(*teacher, config);
    const auto layers = parse_student_layers(reference.substr(kLayers.size()),
                                             static_cast<int>(config.layers.size()));
    if (layers.size() < config.layers.size()) require_droppable_layers(config);
    return keep_layers(std::move(teacher), layers);
  }
  const std::string name(reference);
  auto student = open_checkpoint(resolve_model(name));
  const std::string difference =
      vocabulary_difference(tokenizer, *Tokenizer::make(student->read_tokenizer()));
  if (!difference.empty()) {
    fail("the student '{}' has another vocabulary than its teacher: {}", printable(name, 400),
         difference);
  }
  const Config config = read_config(*student);
  require_trainable(*student, config);
  if (tokenizer.vocabulary_size() > static_cast<size_t>(config.vocabulary)) {
    fail("the tokenizer has {} tokens, the student '{}' only {}", tokenizer.vocabulary_size(),
         printable(name, 400), config.vocabulary);
  }
  return student;
}

}  // namespace tessera::train
