// HTTP/1.1 as it lies on the wire (RFC 9112): where a request's head ends, what it says, and where
// its body ends.
//
// Read strictly. Where a proxy and this server disagreed on a byte, what follows it would be a
// request to one of them only (request smuggling); so whatever has a second reading is refused, and
// the connection is closed. Everything that the RFC lets a recipient repair is taken as an error.
//
// Errors are ApiError: 400 for what is malformed, 413, 414 and 431 for what is too large, 417, 505.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::serve {

// Finds the end of a head while its bytes come.
class HeadScanner {
 public:
  explicit HeadScanner(size_t most_bytes) : most_bytes_(most_bytes) {}

  // `received` begins where the request does and has grown since the last call. The head's size
  // once it is whole, with the blank line; 0 before. Throws at the first line that ends badly.
  size_t scan(std::string_view received);

 private:
  size_t most_bytes_;
  size_t seen_ = 0, lines_ = 0;
};

struct RequestHead {
  using Field = std::pair<std::string, std::string>;

  std::string method;
  std::string target;         // begins with '/', or is "*"
  std::string version;        // "HTTP/1.1" or "HTTP/1.0"
  std::vector<Field> fields;  // as sent, without the blanks around values
  std::optional<uint64_t> content_length;
  bool is_chunked = false;
  bool closes = false;  // no other request follows on this connection
  bool expects_continue = false;

  bool has_body() const { return is_chunked || content_length.value_or(0) > 0; }
  // Whatever the case of the name; null if there is none.
  const std::string* find(std::string_view name) const;
};

// `text`: a whole head. An absolute URL as its target becomes a path and the Host (RFC
// 9112, 3.2.2).
RequestHead parse_head(std::string_view text);

// The target in the first line of a head that nobody has checked yet; empty if it has none.
std::string_view target_of(std::string_view head);

// Takes a body's content out of what surrounds it.
class BodyDecoder {
 public:
  BodyDecoder() = default;  // of no body
  // Content beyond `most_bytes` is an error.
  BodyDecoder(const RequestHead& head, size_t most_bytes);

  // Takes from the front of `wire`: returns the next content in it, at most `most` bytes. Empty if
  // is_done(), or if `wire` was used up before any came.
  std::string_view take(std::string_view& wire, size_t most);
  bool is_done() const { return state_ == State::kDone; }

 private:
  enum class State { kDone, kLength, kChunkSize, kChunk, kChunkEnd, kTrailer };

  bool take_line(std::string_view& wire, size_t most);
  void end_line();

  State state_ = State::kDone;
  uint64_t left_ = 0;          // of the body or the chunk
  uint64_t content_left_ = 0;  // that all chunks may still have
  size_t framing_left_ = 0;    // that may still surround them
  std::string line_;
};

}  // namespace tessera::serve
