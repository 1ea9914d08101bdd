// tessera quantize: a model file in a smaller format.
#include "compress/quantize.h"
#include "compress/recipes.h"

#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/byte_size.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/self_text.h"
#include "compress/checks.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {
namespace {

struct QuantizeFlags {
  std::string source, out, calibration_file, target_size, recipe, recipe_out;
  std::vector<std::string> tensor_types;
  bool chunks_given = false;
  QuantizeOptions options;
  bool table = false;
  JsonFlags json;
};

// "self": the model writes it. So it does where a text is needed and none is given, unless that is
// to be "none".
void read_calibration(QuantizeFlags& flags) {
  constexpr int kOwnTexts = 16;  // to write them takes longer than to read them
  const bool is_missing = flags.calibration_file.empty();
  const bool is_without =
      flags.calibration_file == "none" || (is_missing && !flags.options.imatrix.empty());
  if (is_without || (is_missing && !needs_text(flags.options))) {
    if (flags.chunks_given)
      fail("--calibrate-chunks is of a text, and there is none (--calibrate)");
    return;
  }
  if (!is_missing && flags.calibration_file != "self") {
    flags.options.calibration = read_text(flags.calibration_file);
    if (flags.options.calibration.empty()) fail("'{}' is empty", flags.calibration_file);
    return;
  }
  const int texts = flags.chunks_given && flags.options.calibration_chunks > 0
                        ? flags.options.calibration_chunks
                        : kOwnTexts;
  flags.options.write_calibration = [&flags, is_missing, texts] {
    const int length = flags.options.calibration_length;
    if (is_missing) {
      spdlog::warn(
          "no text to calibrate with (--calibrate): the model writes {} of {} tokens itself", texts,
          length);
    }
    ProgressBar bar("writing a text", 1);
    const LoadOptions load{.threads = flags.options.threads, .lora = flags.options.lora};
    return SelfText(resolve_model(flags.source), load, length).texts(texts, shown_on(bar));
  };
}

void read_formats(QuantizeFlags& flags) {
  auto& formats = flags.options.tensor_formats;
  for (const std::string& entry : flags.tensor_types) {
    const auto more = parse_tensor_formats(entry, "--tensor-type");
    formats.insert(formats.end(), more.begin(), more.end());
  }
  if (!flags.recipe.empty()) {
    const auto more = parse_tensor_formats(read_text(flags.recipe), flags.recipe);
    formats.insert(formats.end(), more.begin(), more.end());
  }
  if (!flags.target_size.empty()) flags.options.target.bytes = parse_byte_size(flags.target_size);
}

void quantize(QuantizeFlags& flags) {
  if (!flags.recipe_out.empty() && require_recipe(flags.options.format).folder != nullptr)
    fail("--recipe-out is for GGUF files: {} has one format for all", flags.options.format);
  if (!flags.recipe_out.empty()) {
    if (flags.recipe_out == flags.out) fail("'{}' is both -o and --recipe-out", flags.out);
    check_not_source(*open_checkpoint(resolve_model(flags.source)), flags.recipe_out);
    AtomicFile{flags.recipe_out};  // to fail before the long work
  }
  read_formats(flags);
  read_calibration(flags);
  QuantizeSummary summary;
  {
    ProgressBar bar("quantizing", 1, ProgressBar::Unit::kBytes);
    flags.options.progress = shown_on(bar);
    summary = quantize_file(resolve_model(flags.source), flags.options, flags.out);
  }
  if (!flags.recipe_out.empty()) {
    AtomicFile file(flags.recipe_out);
    file.write(summary.formats);
    file.commit();
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
              {"expected_divergence", summary.expected_divergence},
              {"tensors", tensors}},
             flags.json);
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = app.add_subcommand("quantize", "write a model file in another format");
  command
      ->add_option("SOURCE", flags->source, "a GGUF file, a Hugging Face folder or a model's name")
      ->required();
  CLI::Option* format =
      command
          ->add_option("--format", flags->options.format,
                       "Q4_K_M, Q8_0, F16, ..., or a quantized folder: gptq-4bit-128g, W4A16, "
                       "bnb-nf4, ...; an unknown name lists them all")
          ->capture_default_str();
  command
      ->add_option("-o,--out", flags->out,
                   "the file to write, or, with a '/' at its end, the Hugging Face folder (F16, "
                   "BF16, F32, or "
                   "one of its quantized formats)")
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
          "awq+gptq; hqq, absmax and zeropoint leave the codes to gptq: hqq+gptq")
      ->capture_default_str();
  command->add_option("--sparsity", flags->options.sparsity,
                      "of methods that prune: a share (50%), or 2:4 for two zeros in four columns");
  command->add_option("--sparsity-scope", flags->options.sparsity_scope,
                      "whose share it is, of magnitude without a text: each row's, each layer's "
                      "(a matrix is one) or global, all matrices' together");
  command
      ->add_option("--damping", flags->options.damping,
                   "of gptq and sparsegpt: what is added to the Hessian's diagonal, as a share of "
                   "its mean; by default, the more the fewer tokens it is of")
      ->check(CLI::Range(1e-6, 100.0));
  command->add_flag("--group-aware", flags->options.group_aware,
                    "of gptq: columns of large inputs first, as far as groups stay together");
  command->add_option("--imatrix", flags->options.imatrix,
                      "an importance matrix, of tessera imatrix or llama-imatrix, for rtn");
  command->add_option("--calibrate", flags->calibration_file,
                      "a text file: what the model makes of it says which errors matter; self: a "
                      "text that the model writes, as it does where one is needed and none is "
                      "given; none: no text");
  CLI::Option* chunks =
      command
          ->add_option("--calibrate-chunks", flags->options.calibration_chunks,
                       "chunks of 512 tokens to take of it; 0: all; the model writes 16")
          ->check(CLI::Range(0, 1 << 20))
          ->capture_default_str();
  CLI::Option* pure =
      command->add_flag("--pure", flags->options.pure,
                        "one format wherever it fits, instead of the recipe's mixture");
  CLI::Option* bits =
      command
          ->add_option(
              "--target-bpw", flags->options.target.bits_per_weight,
              "bits per weight: each matrix gets the format that costs least, as measured, "
              "when the file takes so many")
          ->check(CLI::Range(1.0, 32.0))
          ->excludes(format)
          ->excludes(pure);
  command
      ->add_option("--target-size", flags->target_size,
                   "the same by the size of the file, such as 1.2GB")
      ->excludes(format)
      ->excludes(pure)
      ->excludes(bits);
  command->add_option(
      "--tensor-type", flags->tensor_types,
      "PATTERN=FORMAT: the format of the matrices in whose names the pattern is "
      "found, such as attn_v=q6_k; may be given again, the first that is found counts");
  command->add_option("--recipe,--tensor-type-file", flags->recipe,
                      "a file of such patterns, as --recipe-out or llama.cpp's users write it");
  command->add_option("--recipe-out", flags->recipe_out,
                      "write the format of each matrix to this file, for --recipe");
  command->add_option(
      "--work", flags->options.work,
      "a folder that keeps what is done: the same command goes on where it was ended");
  command->add_option("-t,--threads", flags->options.threads, "threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_flag("--force", flags->options.overwrite, "overwrite the output if it exists");
  command->add_flag("--table", flags->table, "show what became of each tensor, and its error");
  add_json_flags(*command, flags->json, "print one JSON object",
                 "  bytes_before, bytes_after, bits_per_weight_before, bits_per_weight_after\n"
                 "  expected_divergence: by measurement, in nats a token; 0: not measured\n"
                 "  tensors: [{name, from, to, wanted, bytes_before, bytes_after, relative_error,\n"
                 "            rows_of_same_codes}, ...]\n");
  command->callback([flags, chunks] {
    flags->chunks_given = chunks->count() > 0;
    quantize(*flags);
  });
}

}  // namespace tessera::cli
