// tessera list: the models in the cache, and the known ones that are not there yet.
#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>

#include "base/error.h"
#include "base/human_bytes.h"
#include "base/printable.h"
#include "cli/commands.h"
#include "cli/model_lines.h"
#include "files/cache_folder.h"
#include "files/known_models.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct Row {
  std::string name, quantization, modified, note;
  uint64_t bytes = 0;
  bool is_here = false;
};

std::string local_time(std::filesystem::file_time_type time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(
          std::chrono::file_clock::to_sys(time)));
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(seconds));
}

Row describe(const CachedModel& model) {
  Row row{model.name, "", local_time(model.modified), "", model.bytes, model.is_whole};
  if (!model.is_whole) {
    row.note = "unfinished: tessera pull goes on";
    return row;
  }
  try {
    row.quantization = quantization_of(summarize(*open_checkpoint(model.path)));
  } catch (const std::exception&) {  // one bad file must not hide the others
    row.note = "not a valid model file";
  }
  return row;
}

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const CachedModel& model : list_cached_models(cache_folder())) {
    rows.push_back(describe(model));
  }
  for (const KnownModel& known : known_models()) {
    if (std::ranges::find(rows, known.name, &Row::name) != rows.end()) continue;
    rows.push_back({std::string(known.name), "", "",
                    fmt::format("not here yet: tessera pull {}", known.name), known.size, false});
  }
  return rows;
}

std::string table_of(const std::vector<Row>& rows) {
  size_t width = 4;
  for (const Row& row : rows) width = std::max(width, printable(row.name, 400).size());
  std::string text = fmt::format("{:<{}}  {:>10}  {:<12}  {}\n", "name", width, "size",
                                 "quantization", "modified");
  for (const Row& row : rows) {
    text += fmt::format("{:<{}}  {:>10}  {:<12}  {}\n", printable(row.name, 400), width,
                        human_bytes(row.bytes), row.quantization.empty() ? "-" : row.quantization,
                        row.note.empty() ? row.modified : row.note);
  }
  return text;
}

}  // namespace

void add_list(CLI::App& app) {
  auto json = std::make_shared<JsonFlags>();
  CLI::App* command =
      app.add_subcommand("list", "show the models that are here, and those with a known name");
  add_json_flags(*command, *json, "print one JSON list",
                 "  [{name, bytes, quantization, modified, is_here}, ...]\n");
  command->callback([json] {
    const std::vector<Row> rows = all_rows();
    if (!json->wanted) return print(table_of(rows));
    auto list = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
      list.push_back({{"name", row.name},
                      {"bytes", row.bytes},
                      {"quantization", row.quantization},
                      {"modified", row.modified},
                      {"is_here", row.is_here}});
    }
    print_json(list, *json);
  });
}

}  // namespace tessera::cli
