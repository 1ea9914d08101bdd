#include "files/http.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "files/http_request.h"
#include "files/sha256.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// No model file comes near; a server that sends without end has to stop somewhere.
constexpr uint64_t kMaxFileBytes = uint64_t{4} << 40;

// Waits longer and longer while attempts fail in a row; gives up after options.attempts of them.
class Patience {
 public:
  Patience(const HttpOptions& options, std::string url) : options_(options), url_(std::move(url)) {}

  void attempt_failed(const std::string& reason, bool progressed) {
    failures_ = progressed ? 1 : failures_ + 1;
    if (failures_ >= options_.attempts) fail("cannot download '{}': {}", url_, reason);
    const auto delay = options_.retry_delay * (1 << std::min(failures_ - 1, 5));
    spdlog::warn("download interrupted ({}); trying again in {:.1f} s", reason,
                 std::chrono::duration<double>(delay).count());
    std::this_thread::sleep_for(delay);
  }

 private:
  const HttpOptions& options_;
  std::string url_;
  int failures_ = 0;
};

// 'Link: <https://...>; rel="next"' -> the URL.
std::string next_page(const std::string& link) {
  const size_t begin = link.find('<'), end = link.find('>');
  if (link.find("rel=\"next\"") == std::string::npos || begin == std::string::npos ||
      end == std::string::npos || end < begin) {
    return "";
  }
  return link.substr(begin + 1, end - begin - 1);
}

// The file that collects the bytes, held by an advisory lock while it is open.
class PartFile {
 public:
  explicit PartFile(const fs::path& target)
      : path_(target.string() + ".part"), etag_path_(path_.string() + ".etag") {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
    struct stat ours {
    }, named{};
    const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    // Another process may have finished and renamed the file between our open and our lock.
    const bool same = locked && ::fstat(fd_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                      ours.st_ino == named.st_ino;
    if (!same) {
      ::close(fd_);
      fail("'{}' is being downloaded by another process", target.string());
    }
    size_ = static_cast<uint64_t>(ours.st_size);
  }
  ~PartFile() { ::close(fd_); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  uint64_t size() const { return size_; }
  const fs::path& path() const { return path_; }

  // The ETag of the version that the bytes belong to; "" if they cannot be continued.
  std::string etag() const {
    std::ifstream file(etag_path_);
    std::string etag;
    std::getline(file, etag);
    return etag;
  }

  void restart(const std::string& etag) {
    if (::ftruncate(fd_, 0) != 0) fail_write();
    size_ = 0;
    const bool strong = !etag.empty() && !etag.starts_with("W/");
    if (!strong) {
      fs::remove(etag_path_);
    } else {
      std::ofstream(etag_path_, std::ios::trunc) << etag << '\n';
    }
  }

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail_write();
      size_ += static_cast<uint64_t>(written);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  void rename_to(const fs::path& target) {
    if (::fsync(fd_) != 0) fail_write();
    fs::rename(path_, target);
    fs::remove(etag_path_);
  }

 private:
  [[noreturn]] void fail_write() const {
    fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
  }

  fs::path path_, etag_path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

class Download {
 public:
  Download(const std::string& url, const fs::path& target, const ExpectedFile& expected,
           const HttpOptions& options)
      : url_(url), target_(target), expected_(expected), options_(options), part_(target) {}

  void run() {
    Patience patience(options_, url_);
    for (;;) {
      const uint64_t before = part_.size();
      const std::string reason = is_complete() ? "" : attempt();
      if (reason.empty() && verify()) break;
      const bool progressed = part_.size() > before;
      patience.attempt_failed(reason.empty() ? "wrong checksum after a resume" : reason,
                              progressed);
    }
    part_.rename_to(target_);
  }

 private:
  bool is_complete() const {
    return expected_.size && part_.size() == *expected_.size && !part_.etag().empty();
  }

  // Returns why the transfer ended early, or "" when all bytes are there.
  std::string attempt() {
    std::vector<std::string> headers;
    const std::string etag = part_.etag();
    const bool resume =
        part_.size() > 0 && !etag.empty() && (!expected_.size || part_.size() < *expected_.size);
    if (resume) {
      headers = {fmt::format("Range: bytes={}-", part_.size()), "If-Range: " + etag};
    } else {
      part_.restart("");
    }
    bool begun = false;
    const HttpResponse response =
        http_request(url_, headers, options_, [&](const HttpResponse& r, std::string_view piece) {
          if (!begun) begin(r);
          begun = true;
          if (part_.size() + piece.size() > total_)
            fail("'{}': the server sends more than {} bytes", url_, total_);
          part_.append(piece);
          if (bar_) bar_->update(part_.size());
        });
    if (const std::string linked = unquote(response.header("x-linked-etag"));
        expected_.sha256.empty() && linked.size() == 64) {
      expected_.sha256 = linked;
    }
    if (response.ok()) {
      if (!begun) begin(response);
      return total_ == kMaxFileBytes || part_.size() == total_ ? "" : "the connection closed early";
    }
    if (response.status == 416) {  // our part is not a part of what lies there now
      part_.restart("");
      return "the file changed on the server";
    }
    if (!response.may_pass()) fail("cannot download '{}': {}", url_, response.reason());
    return response.reason();
  }

  // The answer has begun: continue the part or begin anew, and see that the rest fits.
  void begin(const HttpResponse& response) {
    if (response.status == 206) {
      resumed_ = true;
      const std::string expected = fmt::format("bytes {}-", part_.size());
      if (!response.header("content-range").starts_with(expected)) {
        fail("'{}': the server resumed at '{}', expected '{}'", url_,
             response.header("content-range"), expected);
      }
    } else {
      part_.restart(response.header("etag"));
      resumed_ = false;
    }
    total_ = kMaxFileBytes;
    if (const auto length = response.content_length()) {
      total_ = std::min(*length, kMaxFileBytes - part_.size()) + part_.size();
      if (expected_.size && total_ != *expected_.size) {
        fail("'{}': the server offers {} bytes, expected {}", url_, total_, *expected_.size);
      }
    } else if (expected_.size) {
      total_ = *expected_.size;
    }
    if (total_ != kMaxFileBytes) {
      const uint64_t free = fs::space(target_.parent_path()).available;
      if (total_ - part_.size() > free) {
        fail("not enough disk space for '{}': needs {} MB, {} MB are free", target_.string(),
             (total_ - part_.size()) / 1000000, free / 1000000);
      }
      if (!bar_) bar_.emplace(target_.filename().string(), total_, ProgressBar::Unit::kBytes);
    }
  }

  // False if a resumed download does not add up and deserves one from the start.
  bool verify() {
    if (expected_.sha256.empty()) return true;
    const std::string actual = sha256_of_file(part_.path());
    if (actual == expected_.sha256) return true;
    part_.restart("");
    if (std::exchange(resumed_, false)) return false;
    fail("'{}': the SHA-256 is {}, expected {}", url_, actual, expected_.sha256);
  }

  static std::string unquote(std::string text) {
    std::erase(text, '"');
    return text;
  }

  std::string url_;
  fs::path target_;
  ExpectedFile expected_;
  const HttpOptions& options_;
  PartFile part_;
  std::optional<ProgressBar> bar_;
  uint64_t total_ = kMaxFileBytes;
  bool resumed_ = true;  // bytes of an earlier run count as resumed
};

}  // namespace

HttpText http_get(const std::string& url, size_t limit, const HttpOptions& options) {
  Patience patience(options, url);
  for (;;) {
    std::string body;
    const HttpResponse response =
        http_request(url, {}, options, [&](const HttpResponse&, std::string_view piece) {
          if (body.size() + piece.size() > limit)
            fail("'{}': the answer is larger than {} bytes", url, limit);
          body += piece;
        });
    if (response.ok()) return {std::move(body), next_page(response.header("link"))};
    if (!response.may_pass()) fail("cannot download '{}': {}", url, response.reason());
    patience.attempt_failed(response.reason(), false);
  }
}

void http_download(const std::string& url, const fs::path& target, const ExpectedFile& expected,
                   const HttpOptions& options) {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) fail("cannot create '{}': {}", target.parent_path().string(), error.message());
  try {
    Download(url, target, expected, options).run();
  } catch (const fs::filesystem_error& failure) {
    fail("cannot write '{}': {}", target.string(), failure.code().message());
  }
}

}  // namespace tessera
