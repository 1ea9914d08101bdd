// tessera pull: download a model into the cache.
#include <memory>

#include "cli/commands.h"
#include "files/hub.h"

namespace tessera::cli {

void add_pull(CLI::App& app) {
  auto reference = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("pull", "download a model; prints where it is");
  command->add_option("REFERENCE", *reference, "hf:OWNER/REPO[/FILE] or https://...")->required();
  command->callback([reference] { print(pull(*reference).string() + "\n"); });
}

}  // namespace tessera::cli
