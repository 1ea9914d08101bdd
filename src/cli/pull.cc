// tessera pull: download a model into the cache.
#include "files/pull.h"

#include <memory>

#include "cli/commands.h"

namespace tessera::cli {

void add_pull(CLI::App& app) {
  auto reference = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("pull", "download a model; prints where it is");
  command
      ->add_option("REFERENCE", *reference,
                   "smollm2:135m and other names that `tessera list` shows, "
                   "hf:OWNER/REPO[:QUANTIZATION|/FILE], or https://...")
      ->required();
  command->callback([reference] { print(pull(*reference).string() + "\n"); });
}

}  // namespace tessera::cli
