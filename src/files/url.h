// An http or https URL, taken apart.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

struct Url {
  std::string scheme;  // "https" or "http"
  std::string host;
  std::string port;  // the scheme's own if the URL names none
  std::string path;  // decoded, begins with '/'

  // Who is spoken to: "https://huggingface.co:443". A secret belongs to one origin.
  std::string origin() const { return scheme + "://" + host + ":" + port; }
  // This machine, where plain http is safe.
  bool is_loopback() const { return host == "localhost" || host == "127.0.0.1" || host == "[::1]"; }
};

// Error if `text` is no absolute http(s) URL, or holds a user name or password.
Url parse_url(std::string_view text);

// The absolute URL of a link in the page at `base`; Error if there is none.
std::string resolve_link(const std::string& base, const std::string& link);

// A file's name as part of a URL's path: '/' stays, everything unusual becomes %XX.
std::string escape_path(std::string_view path);

}  // namespace tessera
