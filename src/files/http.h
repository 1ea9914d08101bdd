// Getting things over HTTP(S) with libcurl: small texts, and large files that survive a bad line.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace tessera {

struct HttpOptions {
  // Sent as a bearer token to `token_origin` (Url::origin()) and to nobody else: a redirect to
  // another host or port does not carry it.
  std::string token, token_origin;
  // Plain http is refused, except to this machine and to `token_origin`.
  int attempts = 5;                             // in a row, without one new byte
  std::chrono::milliseconds retry_delay{1000};  // doubles from one attempt to the next
  std::chrono::seconds connect_timeout{4};      // from a name to a connection
  std::chrono::seconds stall_timeout{30};       // without a byte: the attempt has failed
  std::string label;                            // of the progress bar; empty: the file's name
};

struct HttpText {
  std::string body;
  std::string next;  // the URL of the next page (header "Link: <...>; rel=next"), or empty
};

// Gets a text of at most `limit` bytes. Follows redirects; retries what may pass by itself (a lost
// connection, 429, 5xx); everything else is an Error that names the URL. A server that was not
// reached once is not tried again.
HttpText http_get(const std::string& url, size_t limit, const HttpOptions& options);

// What is known of a file before it is downloaded.
struct ExpectedFile {
  std::optional<uint64_t> size;
  std::string sha256;  // hexadecimal; empty: unknown
};

// Downloads `url` to `target`, which appears whole and verified or not at all. The bytes collect in
// "TARGET.part"; a later attempt, or a later run, resumes there if the server says with its ETag
// that the file is still the same, or if a checksum will tell. A server's X-Linked-Etag (the hub's
// SHA-256) is checked as well. Shows a progress bar. Error on a wrong size or checksum, a full
// disk, another running download.
void http_download(const std::string& url, const std::filesystem::path& target,
                   const ExpectedFile& expected, const HttpOptions& options);

}  // namespace tessera
