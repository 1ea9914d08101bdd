// tessera quantize: a model file in a smaller format.
#include "compress/quantize.h"

#include <memory>

#include "base/log.h"
#include "cli/commands.h"
#include "files/model_reference.h"

namespace tessera::cli {
namespace {

struct Flags {
  std::string source, out, calibration_file;
  QuantizeOptions options;
  bool table = false;
  JsonFlags json;
};

void quantize(Flags& flags) {
  QuantizeSummary summary;
  {
    ProgressBar bar("quantizing", 1, ProgressBar::Unit::kBytes);
    flags.options.progress = [&](uint64_t done, uint64_t total) {
      bar.set_total(total);
      bar.update(done);
    };
    if (!flags.calibration_file.empty())
      flags.options.calibration = read_text(flags.calibration_file);
    summary = quantize_file(resolve_model(flags.source), flags.options, flags.out);
  }
  if (!flags.json.wanted) return print(flags.table ? describe(summary) : describe_totals(summary));

  auto tensors = nlohmann::ordered_json::array();
  for (const QuantizedTensor& tensor : summary.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"from", tensor.from->name},
                       {"to", tensor.to->name},
                       {"wanted", tensor.wanted->name},
                       {"bytes_before", tensor.bytes_before},
                       {"bytes_after", tensor.bytes_after},
                       {"relative_error", tensor.relative_error},
                       {"rows_of_same_codes", tensor.kept_rows}});
  }
  print_json({{"bytes_before", summary.bytes_before},
              {"bytes_after", summary.bytes_after},
              {"bits_per_weight_before", summary.bits_per_weight_before},
              {"bits_per_weight_after", summary.bits_per_weight_after},
              {"tensors", tensors}},
             flags.json);
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("quantize", "write a model file in another format");
  command
      ->add_option("SOURCE", flags->source, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  command
      ->add_option("--format", flags->options.format,
                   "Q4_K_M, Q8_0, F16, ...; an unknown name lists them all")
      ->capture_default_str();
  command
      ->add_option(
          "-o,--out", flags->out,
          "the file to write, or, with a '/' at its end, the Hugging Face folder (F16, BF16, F32)")
      ->required();
  add_lora_flag(*command, flags->options.lora,
                "merge a LoRA adapter first, a PEFT folder or its safetensors, or a GGUF file; may "
                "be given again");
  command
      ->add_option(
          "--method", flags->options.method,
          "how codes are chosen: rtn (round to nearest, scales searched), absmax or zeropoint (not "
          "searched), gptq, hqq, clip; or, to prune, magnitude, wanda, sparsegpt; awq and "
          "smoothquant move scales before, alone or in front of one: "
          "awq+gptq")
      ->capture_default_str();
  command->add_option("--sparsity", flags->options.sparsity,
                      "of methods that prune: a share (50%), or 2:4 for two zeros in four columns");
  command->add_option("--imatrix", flags->options.imatrix,
                      "an importance matrix, of tessera imatrix or llama-imatrix, for rtn");
  CLI::Option* calibrate =
      command->add_option("--calibrate", flags->calibration_file,
                          "a text file: what the model makes of it says which errors matter");
  command
      ->add_option("--calibrate-chunks", flags->options.calibration_chunks,
                   "chunks of 512 tokens to take of it; 0: all")
      ->needs(calibrate)
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_flag("--pure", flags->options.pure,
                    "one format wherever it fits, instead of the recipe's mixture");
  command->add_option("-t,--threads", flags->options.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_flag("--force", flags->options.overwrite, "overwrite the output if it exists");
  command->add_flag("--table", flags->table, "show what became of each tensor, and its error");
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  bytes_before, bytes_after, bits_per_weight_before, bits_per_weight_after\n"
                 "  tensors: [{name, from, to, wanted, bytes_before, bytes_after, relative_error,\n"
                 "            rows_of_same_codes}, ...]\n");
  command->callback([flags] { quantize(*flags); });
}

}  // namespace tessera::cli
