#include "files/http.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "files/http_request.h"
#include "files/part_file.h"
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

  // Who never reaches the server is offline, or has mistyped its name: waiting helps neither.
  void answered(const HttpResponse& response) {
    if (response.unreachable && !reached_) fail("cannot download '{}': {}", url_, response.broken);
    reached_ = reached_ || !response.unreachable;
  }

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
  bool reached_ = false;
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

class Download {
 public:
  Download(const std::string& url, const fs::path& target, const ExpectedFile& expected,
           const HttpOptions& options)
      : url_(url),
        target_(target),
        expected_(expected),
        options_(options),
        patience_(options, url),
        part_(target) {}

  void run() {
    for (;;) {
      const uint64_t before = part_.size();
      const std::string reason = is_complete() ? "" : attempt();
      if (reason.empty() && verify()) break;
      const bool progressed = part_.size() > before;
      patience_.attempt_failed(reason.empty() ? "wrong checksum after a resume" : reason,
                               progressed);
    }
    part_.rename_to_target();
  }

 private:
  bool is_complete() const {
    return expected_.size && part_.size() == *expected_.size && !part_.mark().empty();
  }

  // Returns why the transfer ended early, or "" when all bytes are there.
  std::string attempt() {
    std::vector<std::string> headers;
    const std::string mark = part_.mark();
    const bool resume =
        part_.size() > 0 && !mark.empty() && (!expected_.size || part_.size() < *expected_.size);
    if (resume) {
      headers = {fmt::format("Range: bytes={}-", part_.size())};
      if (mark != checksum_mark()) headers.push_back("If-Range: " + mark);
    } else {
      restart("");
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
    patience_.answered(response);
    if (const std::string linked = unquote(response.header("x-linked-etag"));
        expected_.sha256.empty() && linked.size() == 64) {
      expected_.sha256 = linked;
    }
    if (response.ok()) {
      if (!begun) begin(response);
      return total_ == kMaxFileBytes || part_.size() == total_ ? "" : "the connection closed early";
    }
    if (response.status == 416) {  // our part is not a part of what lies there now
      restart("");
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
      restart(response.header("etag"));
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
      part_.require_space(total_ - part_.size());
      if (!bar_) {
        bar_.emplace(options_.label.empty() ? target_.filename().string() : options_.label, total_,
                     ProgressBar::Unit::kBytes);
      }
    }
  }

  // False if a resumed download does not add up and deserves one from the start.
  bool verify() {
    if (expected_.sha256.empty()) return true;
    const std::string actual = sha256_of_file(part_.path());
    if (actual == expected_.sha256) return true;
    restart("");
    if (std::exchange(resumed_, false)) return false;
    fail("'{}': the SHA-256 is {}, expected {}", url_, actual, expected_.sha256);
  }

  // Bytes that a checksum will prove may be continued whoever sends the rest.
  std::string checksum_mark() const {
    return expected_.sha256.empty() ? "" : "sha256:" + expected_.sha256;
  }

  void restart(const std::string& etag) {
    part_.truncate(0);
    const bool strong = !etag.empty() && !etag.starts_with("W/");
    part_.set_mark(strong ? etag : checksum_mark());
  }

  static std::string unquote(std::string text) {
    std::erase(text, '"');
    return text;
  }

  std::string url_;
  fs::path target_;
  ExpectedFile expected_;
  const HttpOptions& options_;
  Patience patience_;
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
    patience.answered(response);
    if (response.ok()) return {std::move(body), next_page(response.header("link"))};
    if (!response.may_pass()) fail("cannot download '{}': {}", url, response.reason());
    patience.attempt_failed(response.reason(), false);
  }
}

void http_download(const std::string& url, const fs::path& target, const ExpectedFile& expected,
                   const HttpOptions& options) {
  try {
    Download(url, target, expected, options).run();
  } catch (const fs::filesystem_error& failure) {
    fail("cannot write '{}': {}", target.string(), failure.code().message());
  }
}

}  // namespace tessera
