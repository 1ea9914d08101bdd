// tessera inspect: what is in a model file.
#include "files/inspect.h"

#include <memory>

#include "cli/commands.h"
#include "files/model_reference.h"

namespace tessera::cli {

void add_inspect(CLI::App& app) {
  struct InspectFlags {
    std::string file;
    JsonFlags json;
  };
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command =
      app.add_subcommand("inspect", "show the metadata and tensors of a model file");
  command->add_option("FILE", flags->file, "a GGUF file or a model's name")->required();
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  version, alignment, files\n"
                 "  metadata: [{key, type, value}, ...]; of an array {key, type, count, first}\n"
                 "  tensors: [{name, shape, format, bytes, offset, file}, ...]\n"
                 "  totals: {tensors, parameters, bytes, bits_per_weight,\n"
                 "           formats: {FORMAT: {tensors, parameters, bytes}, ...}}\n");
  command->callback([flags] {
    const std::filesystem::path path = resolve_model(flags->file);
    if (flags->json.wanted) return print_json(describe_file_json(path), flags->json);
    print(describe_file(path));
  });
}

}  // namespace tessera::cli
