// tessera inspect: what is in a model file.
#include "files/inspect.h"

#include <memory>

#include "cli/commands.h"
#include "files/model_reference.h"

namespace tessera::cli {

void add_inspect(CLI::App& app) {
  struct Flags {
    std::string file;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("inspect", "show the metadata and tensors of a model file");
  command->add_option("FILE", flags->file, "a GGUF file or a model's name")->required();
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags] {
    const std::filesystem::path path = resolve_model(flags->file);
    print(flags->json ? describe_file_json(path).dump(2) + "\n" : describe_file(path));
  });
}

}  // namespace tessera::cli
