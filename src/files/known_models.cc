#include "files/known_models.h"

#include <algorithm>

#include "files/http_request.h"

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
    KnownModel model;
    model.name = take_until(line, '\t');
    model.file = take_until(line, '\t');
    model.size = parse_uint(take_until(line, '\t')).value_or(0);
    model.sha256 = take_until(line, '\t');
    model.packages = take_until(line, '\t');
    model.member = line;
    models.push_back(model);
  }
  return models;
}

}  // namespace

std::span<const KnownModel> known_models() {
  static const std::vector<KnownModel> models = read_table();
  return models;
}

const KnownModel* find_known_model(std::string_view name) {
  const auto found = std::ranges::find(known_models(), name, &KnownModel::name);
  return found == known_models().end() ? nullptr : &*found;
}

std::vector<std::string> known_model_names() {
  std::vector<std::string> names;
  for (const KnownModel& model : known_models()) names.emplace_back(model.name);
  return names;
}

}  // namespace tessera
