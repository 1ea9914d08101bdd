#include "cli/bench_roofline.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "backend/kv_format.h"
#include "base/atomic_file.h"
#include "base/log.h"
#include "engine/session.h"
#include "evaluate/roofline.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

// Of the terminal; in a pipe or a file, wide enough for everything.
int output_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 132;
}

// null where nothing bounds the operation.
Json percent_of_limit(const Work& work, const Peaks& peaks, double seconds) {
  if (work.memory_bytes == 0 || seconds <= 0) return nullptr;
  return 100 * limit_seconds(work, peaks) / seconds;
}

Json to_json(const Work& work) {
  return {{"memory_bytes", work.memory_bytes},
          {"activation_bytes", work.activation_bytes},
          {"dot_macs", work.dot_macs},
          {"float_macs", work.float_macs}};
}

Json to_json(const OperationProfile& operation, const Peaks& peaks) {
  Json json = {{"name", operation.name}, {"label", operation.label()}};
  if (operation.rows > 0) {
    json.update({{"matrix", operation.matrix},
                 {"formats", operation.formats},
                 {"rows", operation.rows},
                 {"columns", operation.columns}});
  }
  json.update({{"calls", operation.calls}, {"ms", operation.seconds * 1e3}});
  json.update(to_json(operation.work));
  json["percent_of_limit"] = percent_of_limit(operation.work, peaks, operation.seconds);
  return json;
}

Json to_json(const Phase& phase, const Roofline& roofline) {
  const Peaks& peaks = roofline.peaks;
  const Work work = phase.work();
  Json json = {{"name", phase.name},
               {"tokens", phase.tokens},
               {"ms", phase.seconds * 1e3},
               {"tokens_per_second", phase.tokens_per_second()}};
  if (const Phase* decode = roofline.decode()) {
    json["times_one_token"] = phase.seconds / decode->seconds;
  }
  json.update(to_json(work));
  json.update(
      {{"percent_of_bandwidth",
        100 * work.memory_bytes / phase.seconds / peaks.read_bytes_per_second},
       {"percent_of_dot_peak", 100 * work.dot_macs / phase.seconds / peaks.dot_macs_per_second},
       {"percent_of_limit", percent_of_limit(work, peaks, phase.seconds)},
       {"bound_by", bound_by_reading(work, peaks) ? "reading" : "arithmetic"},
       {"barriers",
        {{"sections", phase.parallel.sections},
         {"ms", phase.parallel.seconds * 1e3},
         {"waiting_ms", phase.parallel.waiting * 1e3},
         {"idle_ms", phase.parallel.idle * 1e3}}},
       {"operations", Json::array()}});
  for (const OperationProfile& operation : phase.operations) {
    json["operations"].push_back(to_json(operation, peaks));
  }
  return json;
}

Json to_json(const Roofline& roofline) {
  const Peaks& peaks = roofline.peaks;
  Json json = {{"machine", roofline.machine},
               {"peaks",
                {{"read_bytes_per_second", peaks.read_bytes_per_second},
                 {"dot_macs_per_second", peaks.dot_macs_per_second},
                 {"fma_macs_per_second", peaks.fma_macs_per_second}}},
               {"weight_bytes", roofline.weight_bytes},
               {"kv", to_string(roofline.kv_format)},
               {"depth", roofline.depth},
               {"phases", Json::array()}};
  for (const Phase& phase : roofline.phases) json["phases"].push_back(to_json(phase, roofline));
  return json;
}

}  // namespace

void bench_roofline(ModelFlags& model, BenchOptions options, const JsonFlags& json,
                    const std::string& svg_path) {
  Device device = open_cpu(model.load.threads, model.load.weights_folder);
  const auto backend = std::make_shared<ProfilingBackend>(device.backend);
  device.backend = backend;
  const Session session = Session::load(model.model, model.load, {}, device);
  options.kv_format = session.kv_format;
  std::optional<AtomicFile> svg;  // a path that cannot be written fails before the long work
  if (!svg_path.empty()) svg.emplace(svg_path);
  const size_t phases = options.generate.size() + options.verify.size() + options.prompt.size();
  Roofline roofline;
  {
    ProgressBar bar("measuring", phases);
    size_t begun = 0;
    roofline = run_roofline(*session.model, *backend, *device.meter, options,
                            [&](const std::string&) { bar.update(begun++); });
  }
  if (svg) {
    svg->write(to_svg(roofline, std::filesystem::path(model.model).filename().string()));
    svg->commit();
  }
  if (json.wanted) {
    print_json(to_json(roofline), json);
  } else {
    print(to_text(roofline, output_width()));
  }
}

}  // namespace tessera::cli
