#include "files/known_models.h"

namespace tessera {
namespace {

// Cuts `text` at the first `mark` and returns what stands before it.
std::string_view take_until(std::string_view& text, char mark) {
  const size_t end = text.find(mark);
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

std::vector<KnownModel> read_table() {
  std::vector<KnownModel> models;
  std::string_view table = kModelTable;
  take_until(table, '\n');  // the headings
  while (!table.empty()) {
    std::string_view line = take_until(table, '\n');
    const std::string_view name = take_until(line, '\t'), file = take_until(line, '\t');
    models.push_back({name, file});
  }
  return models;
}

}  // namespace

std::span<const KnownModel> known_models() {
  static const std::vector<KnownModel> models = read_table();
  return models;
}

}  // namespace tessera
