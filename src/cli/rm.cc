// tessera rm: remove models from the cache.
#include <memory>

#include "base/error.h"
#include "base/human_bytes.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "files/cache_folder.h"
#include "files/model_reference.h"

namespace tessera::cli {

void add_rm(CLI::App& app) {
  struct RmFlags {
    std::vector<std::string> models;
    bool force = false;
  };
  auto flags = std::make_shared<RmFlags>();
  CLI::App* command = app.add_subcommand("rm", "remove models from the cache");
  command->add_option("MODEL", flags->models, "names as `tessera list` shows them")->required();
  command->add_flag("-y,--force", flags->force, "do not ask");
  command->callback([flags] {
    const std::filesystem::path cache = cache_folder();
    std::vector<CachedModel> models;  // all of them, before the first one goes
    for (const std::string& name : flags->models) models.push_back(find_cached_model(name, cache));
    for (const CachedModel& model : models) {
      if (!flags->force && !can_ask())
        fail("'{}' is removed only with --force where nobody can be asked", model.name);
      const std::string question =
          fmt::format("Remove {}, {}?", model.name, human_bytes(model.bytes));
      if (flags->force || ask(question, false)) remove_cached_model(model, cache);
    }
  });
}

}  // namespace tessera::cli
