// tessera: one program, one subcommand for each job.
#include <csignal>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/suggestions.h"
#include "tessera/version.h"

int main(int argc, char** argv) {
  using namespace tessera;
  CLI::App app{"Tessera runs large language models fast on the hardware you have.", "tessera"};
  app.require_subcommand(1);
  bool verbose = false;
  app.add_flag("--verbose", verbose, "say more on standard error");
  app.set_version_flag("--version", "tessera " TESSERA_VERSION);
  app.parse_complete_callback([&] { set_up_logging(verbose); });
  for (const auto add :
       {cli::add_run, cli::add_chat, cli::add_serve, cli::add_bench, cli::add_eval, cli::add_logits,
        cli::add_tokenize, cli::add_inspect, cli::add_quantize, cli::add_prune, cli::add_imatrix,
        cli::add_train, cli::add_pull, cli::add_list, cli::add_show, cli::add_rm}) {
    add(app);
  }
  cli::tame_options(app);
  cli::add_exit_statuses(app);

  // A file that may not grow is an error of the write then, with a line that says so.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "error: {}\n", cli::describe(error, app));
    fmt::print(stderr, "Run with --help for usage.\n");
    return 2;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  return 1;
}
