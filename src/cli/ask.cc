#include "cli/ask.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "cli/terminal.h"
#include "files/pull.h"

namespace tessera::cli {

bool can_ask() {
  return is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
}

bool ask(const std::string& question, bool otherwise) {
  fmt::print(stderr, "{} {} ", question, otherwise ? "[Y/n]" : "[y/N]");
  std::fflush(stderr);
  std::string answer;
  if (!std::getline(std::cin, answer)) {
    std::cin.clear();
    fmt::print(stderr, "\n");
    return false;
  }
  if (answer.empty()) return otherwise;
  return answer.front() == 'y' || answer.front() == 'Y';
}

void offer_download(const std::string& reference) {
  if (!can_ask()) return;
  const auto offer = find_offer(reference);
  if (!offer) return;
  const std::string size =
      offer->bytes ? fmt::format(", {:.0f} MB", static_cast<double>(*offer->bytes) / 1e6) : "";
  if (ask(fmt::format("Download {}{} from {}?", reference, size, offer->source), true))
    pull(reference);
}

}  // namespace tessera::cli
