#include "base/cgroup.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace tessera {
namespace {

namespace fs = std::filesystem;

// One hierarchy of groups: a mounted tree, and where this process is in it.
struct Hierarchy {
  bool is_v2 = false;
  std::vector<std::string> controllers;  // of version 1
  fs::path folder;                       // of the process's own group
  fs::path mount;                        // of the outermost group that can be seen
};

// The number at the beginning of a file; nullopt for "max", "-1" or no such file.
std::optional<uint64_t> read_number(const fs::path& path) {
  std::ifstream in(path);
  int64_t number = 0;
  if (!(in >> number) || number < 0) return std::nullopt;
  return static_cast<uint64_t>(number);
}

// The number behind `name` in a file of names and numbers.
uint64_t read_field(const fs::path& path, std::string_view name) {
  std::ifstream in(path);
  std::string key;
  uint64_t value = 0;
  while (in >> key >> value) {
    if (key == name) return value;
  }
  return 0;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

// mountinfo writes a space as "\040".
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Mount {
  bool is_v2;
  fs::path root, point;              // which group is mounted, and where
  std::vector<std::string> options;  // of version 1: its controllers, among others
};

// Of /proc/self/mountinfo: "36 35 98:0 /root /point rw,noatime master:1 - cgroup source options".
std::vector<Mount> read_mounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream in(root / "proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const auto words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 2) continue;
    const std::string& type = dash[1];
    if (type != "cgroup" && type != "cgroup2") continue;
    mounts.push_back(
        {type == "cgroup2", unescape(words[3]), unescape(words[4]), split(words.back(), ',')});
  }
  return mounts;
}

// The folder of group `group` below a mount. Within a container the mount shows less than the name
// says: then the mount itself is the group.
fs::path folder_of(const fs::path& root, const Mount& mount, const fs::path& group) {
  const fs::path point = root / mount.point.relative_path();
  const fs::path inside = group.lexically_relative(mount.root);
  const bool shown = !inside.empty() && *inside.begin() != "..";
  const fs::path folder = shown ? point / inside : point / group.relative_path();
  std::error_code error;
  return fs::is_directory(folder, error) ? folder.lexically_normal() : point;
}

// Of /proc/self/cgroup: "0::/group" for version 2, "4:cpu,cpuacct:/group" for version 1.
std::vector<Hierarchy> read_hierarchies(const fs::path& root) {
  const auto mounts = read_mounts(root);
  std::vector<Hierarchy> hierarchies;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    Hierarchy hierarchy;
    hierarchy.controllers = split(line.substr(first + 1, second - first - 1), ',');
    hierarchy.is_v2 = hierarchy.controllers.empty();
    const auto mount = std::ranges::find_if(mounts, [&](const Mount& candidate) {
      if (candidate.is_v2 != hierarchy.is_v2) return false;
      return hierarchy.is_v2 ||
             std::ranges::find(candidate.options, hierarchy.controllers.front()) !=
                 candidate.options.end();
    });
    if (mount == mounts.end()) continue;
    hierarchy.folder = folder_of(root, *mount, line.substr(second + 1));
    hierarchy.mount = (root / mount->point.relative_path()).lexically_normal();
    hierarchies.push_back(std::move(hierarchy));
  }
  return hierarchies;
}

template <typename T>
void tighten(std::optional<T>& limit, std::optional<T> other) {
  if (other) limit = limit ? std::min(*limit, *other) : *other;
}

// cpu.max: "150000 100000" or "max 100000", microseconds in each period.
std::optional<double> quota_v2(const fs::path& folder) {
  std::ifstream in(folder / "cpu.max");
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> quota_v1(const fs::path& folder) {
  const auto quota = read_number(folder / "cpu.cfs_quota_us");
  const auto period = read_number(folder / "cpu.cfs_period_us");
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<size_t> room(std::optional<uint64_t> limit, uint64_t used, uint64_t file_pages) {
  // Version 1 says "no limit" by the largest number of pages.
  if (!limit || *limit >= uint64_t{1} << 60) return std::nullopt;
  used -= std::min(used, file_pages);
  return static_cast<size_t>(*limit - std::min(*limit, used));
}

// memory.high slows a group down long before memory.max would stop it.
std::optional<size_t> memory_v2(const fs::path& folder) {
  auto limit = read_number(folder / "memory.max");
  tighten(limit, read_number(folder / "memory.high"));
  const fs::path stat = folder / "memory.stat";
  return room(limit, read_number(folder / "memory.current").value_or(0),
              read_field(stat, "inactive_file") + read_field(stat, "active_file"));
}

std::optional<size_t> memory_v1(const fs::path& folder) {
  const fs::path stat = folder / "memory.stat";
  return room(read_number(folder / "memory.limit_in_bytes"),
              read_number(folder / "memory.usage_in_bytes").value_or(0),
              read_field(stat, "total_inactive_file") + read_field(stat, "total_active_file"));
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  for (const Hierarchy& hierarchy : read_hierarchies(root)) {
    const auto has = [&](std::string_view controller) {
      return hierarchy.is_v2 ||
             std::ranges::find(hierarchy.controllers, controller) != hierarchy.controllers.end();
    };
    for (fs::path folder = hierarchy.folder;; folder = folder.parent_path()) {
      if (has("cpu")) tighten(limits.cpus, hierarchy.is_v2 ? quota_v2(folder) : quota_v1(folder));
      if (has("memory")) {
        tighten(limits.memory, hierarchy.is_v2 ? memory_v2(folder) : memory_v1(folder));
      }
      if (folder == hierarchy.mount || !folder.has_relative_path()) break;
    }
  }
  return limits;
}

}  // namespace tessera
