#include "cli/simulated.h"

#include <memory>

#include "base/error.h"
#include "evaluate/simulated_rounding.h"
#include "files/model_reference.h"
#include "files/open.h"

namespace tessera::cli {

void add_rounding_flags(CLI::App& command, RoundingFlags& flags) {
  command
      .add_option("--round-weights", flags.weights,
                  "round the weights of the layers' matrices, as integers of 2 to 8 bits would: "
                  "int8-absmax-row, int8-zeropoint-tensor, int4-absmax-group128, ...; simulated "
                  "with floats, to measure what it costs")
      ->type_name("HOW");
  command
      .add_option("--round-activations", flags.activations,
                  "round what they multiply: int8-absmax-row (dynamic: a scale for each token), "
                  "int8-absmax-tensor (static: one scale, by --calibrate), ...")
      ->type_name("HOW");
  CLI::Option* calibrate =
      command.add_option("--calibrate", flags.calibration_file,
                         "a text file that static scales of activations are taken from");
  command
      .add_option("--calibrate-chunks", flags.calibration_chunks,
                  "chunks of 512 tokens to take of it")
      ->needs(calibrate)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
}

Session load_rounded(const ModelFlags& model, const RoundingFlags& flags) {
  SimulatedRounding::Options options;
  if (!flags.weights.empty()) options.weights = parse_rounding(flags.weights);
  if (!flags.activations.empty()) options.activations = parse_rounding(flags.activations);
  const bool is_static = options.activations && options.activations->per == Rounding::Per::kTensor;
  if (is_static && flags.calibration_file.empty())
    fail("activations with one scale for a tensor need a text to take it from (--calibrate)");
  if (!is_static && !flags.calibration_file.empty())
    fail("only activations with one scale for a tensor are calibrated");
  if (!options.weights && !options.activations) return Session::load(model.model, model.load);
  if (model.load.llm_int8_threshold > 0)
    fail("LLM.int8() rounds for itself: no other rounding is simulated with it");

  options.left_out = read_config(*open_checkpoint(resolve_model(model.model))).vocabulary;
  Device device = open_cpu(model.load.threads, model.load.weights_folder);
  const auto simulated = std::make_shared<SimulatedRounding>(device.backend, options);
  device.backend = simulated;
  Session session = Session::load(model.model, model.load, {}, device);
  if (is_static) {
    simulated->calibrate(*session.model, *session.tokenizer, read_text(flags.calibration_file),
                         flags.calibration_chunks);
  }
  return session;
}

}  // namespace tessera::cli
