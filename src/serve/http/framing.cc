#include "serve/http/framing.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "serve/http/api_error.h"

namespace tessera::serve {
namespace {

constexpr size_t kMostChunkLine = 256;  // size and extensions
constexpr size_t kMostTrailerLine = 4096;
constexpr size_t kMostFraming = 64 << 10;  // around chunks, besides half of what they may hold
// Two of them could be told apart by nobody.
constexpr std::array<std::string_view, 5> kSingle = {"Host", "Content-Length", "Transfer-Encoding",
                                                     "Authorization", "Origin"};

template <typename... Args>
[[noreturn]] void malformed(fmt::format_string<Args...> format, Args&&... args) {
  bad_request("", "the HTTP request is malformed: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

bool equal_names(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A character of a token (RFC 9110, 5.6.2).
bool is_token(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return is_token(c); });
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, is_control);
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// The text up to `end`, which is taken from the front of `text` too; all of it if there is no
// `end`.
std::string_view split_off(std::string_view& text, std::string_view end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view front = text.substr(0, at);
  text.remove_prefix(std::min(at + end.size(), text.size()));
  return front;
}

// What may stand in Host: a name or an address, and a port.
void check_host(std::string_view host) {
  const bool odd = std::ranges::any_of(host, [](char c) {
    return c == ' ' || c == '\t' ||
           std::string_view("/\\@?#,\"<>^`{|}").find(c) != std::string_view::npos;
  });
  if (odd) malformed("Host is '{}'", host);
}

RequestHead::Field parse_field(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) malformed("a header has no colon");
  const std::string_view name = line.substr(0, colon);
  // Also of a line that begins with a blank, which once continued the one before (RFC 9112, 5.2).
  if (!is_token(name)) malformed("the name of a header is empty or has characters that none has");
  const std::string_view value = line.substr(colon + 1);
  if (has_control(value)) malformed("the header '{}' has a control character", name);
  return {std::string(name), std::string(without_blanks(value))};
}

// "http://host:1/path" becomes "/path"; what it names is the host, whatever Host says.
void take_absolute_form(RequestHead& head) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_names(std::string_view(head.target).substr(0, scheme.size()), scheme)) continue;
    const std::string rest = head.target.substr(scheme.size());
    const std::string authority = rest.substr(0, rest.find_first_of("/?#"));
    if (authority.empty()) malformed("its URL names no host");
    const std::string path = rest.substr(authority.size());
    head.target = path.starts_with('/') ? path : "/" + path;
    std::erase_if(head.fields, [](const auto& field) { return equal_names(field.first, "Host"); });
    head.fields.emplace_back("Host", authority);
  }
}

void parse_request_line(std::string_view line, RequestHead& head) {
  head.method = split_off(line, " ");
  head.target = split_off(line, " ");
  head.version = line;
  if (!is_token(head.method)) malformed("its first line has no method");
  if (has_control(head.target) || head.target.find('\t') != std::string::npos) {
    malformed("its URL has a control character");
  }
  if (head.version == "HTTP/1.1" || head.version == "HTTP/1.0") return;
  const bool is_other = head.version.size() == 8 && head.version.starts_with("HTTP/") &&
                        is_digit(head.version[5]) && is_digit(head.version[7]);
  if (!is_other) malformed("its first line is not METHOD URL HTTP/1.1");
  throw ApiError(505, "invalid_request_error", "the server speaks HTTP/1.1");
}

void check_target(const RequestHead& head) {
  if (head.target.starts_with('/') || (head.target == "*" && head.method == "OPTIONS")) return;
  malformed("its URL is neither a path nor begins with http://");
}

void check_single(const RequestHead& head) {
  for (const std::string_view name : kSingle) {
    const auto count = std::ranges::count_if(
        head.fields, [&](const auto& field) { return equal_names(field.first, name); });
    if (count > 1) malformed("there are {} headers '{}'", count, name);
  }
}

// RFC 9112, 6.3, without the cases in which one of two framings wins.
void read_framing(RequestHead& head) {
  const std::string* length = head.find("Content-Length");
  const std::string* coding = head.find("Transfer-Encoding");
  if (length != nullptr && coding != nullptr) malformed("it has a length and a transfer coding");
  if (coding != nullptr) {
    if (!equal_names(*coding, "chunked")) malformed("its transfer coding is not 'chunked'");
    if (head.version == "HTTP/1.0") malformed("HTTP/1.0 has no transfer codings");
    head.is_chunked = true;
  }
  if (length == nullptr) return;
  if (length->empty() || !std::ranges::all_of(*length, is_digit)) {
    malformed("its Content-Length is no number");
  }
  uint64_t value = 0;
  const auto end = std::from_chars(length->data(), length->data() + length->size(), value);
  head.content_length = end.ec == std::errc() ? value : std::numeric_limits<uint64_t>::max();
}

void read_connection(RequestHead& head) {
  head.closes = head.version == "HTTP/1.0";  // its keep-alive is another protocol
  for (const auto& [name, value] : head.fields) {
    if (!equal_names(name, "Connection")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      if (equal_names(without_blanks(split_off(rest, ",")), "close")) head.closes = true;
    }
  }
}

void read_expectation(RequestHead& head) {
  const std::string* expected = head.find("Expect");
  if (expected == nullptr || head.version == "HTTP/1.0") return;
  if (!equal_names(*expected, "100-continue")) {
    throw ApiError(417, "invalid_request_error", "'Expect' can only be '100-continue'");
  }
  head.expects_continue = head.has_body();
}

uint64_t parse_chunk_size(std::string_view line) {
  uint64_t size = 0;
  const auto end = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  const std::string_view rest(end.ptr, line.data() + line.size());
  if (end.ec == std::errc::invalid_argument || (!rest.empty() && !rest.starts_with(';')) ||
      has_control(rest)) {
    malformed("a chunk of its body has no size");
  }
  if (end.ec == std::errc::result_out_of_range) throw error_of_status(413);
  return size;
}

}  // namespace

size_t HeadScanner::scan(std::string_view received) {
  const size_t end = std::min(received.size(), most_bytes_);
  for (; seen_ < end; ++seen_) {
    if (received[seen_] != '\n') continue;
    if (seen_ == 0 || received[seen_ - 1] != '\r')
      malformed("a line ends without a carriage return");
    ++lines_;
    if (seen_ == 1 || received[seen_ - 2] == '\n') return seen_ + 1;
  }
  if (received.size() >= most_bytes_) throw error_of_status(lines_ == 0 ? 414 : 431);
  return 0;
}

const std::string* RequestHead::find(std::string_view name) const {
  const auto found = std::ranges::find_if(
      fields, [&](const auto& field) { return equal_names(field.first, name); });
  return found == fields.end() ? nullptr : &found->second;
}

RequestHead parse_head(std::string_view text) {
  RequestHead head;
  parse_request_line(split_off(text, "\r\n"), head);
  for (std::string_view line = split_off(text, "\r\n"); !line.empty();
       line = split_off(text, "\r\n")) {
    head.fields.push_back(parse_field(line));
  }
  check_single(head);
  if (head.version == "HTTP/1.1" && head.find("Host") == nullptr) malformed("it has no Host");
  take_absolute_form(head);
  check_target(head);
  if (const std::string* host = head.find("Host")) check_host(*host);
  read_framing(head);
  read_connection(head);
  read_expectation(head);
  return head;
}

std::string_view target_of(std::string_view head) {
  std::string_view line = split_off(head, "\r\n");
  split_off(line, " ");
  return split_off(line, " ");
}

BodyDecoder::BodyDecoder(const RequestHead& head, size_t most_bytes)
    : content_left_(most_bytes), framing_left_(most_bytes / 2 + kMostFraming) {
  if (head.is_chunked) {
    state_ = State::kChunkSize;
  } else if (head.has_body()) {
    left_ = *head.content_length;
    state_ = State::kLength;
  }
}

std::string_view BodyDecoder::take(std::string_view& wire, size_t most) {
  while (!wire.empty() && !is_done()) {
    if (state_ == State::kLength || state_ == State::kChunk) {
      const size_t count = std::min<uint64_t>({left_, wire.size(), most});
      const std::string_view content = wire.substr(0, count);
      wire.remove_prefix(count);
      left_ -= count;
      if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
      return content;
    }
    const size_t longest = state_ == State::kChunkSize  ? kMostChunkLine
                           : state_ == State::kChunkEnd ? 2
                                                        : kMostTrailerLine;
    if (take_line(wire, longest)) end_line();
  }
  return {};
}

// True once line_ holds a whole line, without its end.
bool BodyDecoder::take_line(std::string_view& wire, size_t most) {
  const size_t end = wire.find('\n');
  const size_t count = std::min(end, wire.size() - 1) + 1;
  if (line_.size() + count > most) malformed("a line around its chunks is too long");
  if (count > framing_left_) throw error_of_status(413);
  framing_left_ -= count;
  line_ += wire.substr(0, count);
  wire.remove_prefix(count);
  if (end == std::string_view::npos) return false;
  if (!line_.ends_with("\r\n")) malformed("a line ends without a carriage return");
  line_.resize(line_.size() - 2);
  return true;
}

void BodyDecoder::end_line() {
  if (state_ == State::kChunkSize) {
    left_ = parse_chunk_size(line_);
    if (left_ > content_left_) throw error_of_status(413);
    content_left_ -= left_;
    state_ = left_ > 0 ? State::kChunk : State::kTrailer;
  } else if (state_ == State::kChunkEnd) {
    if (!line_.empty()) malformed("a chunk of its body is longer than it says");
    state_ = State::kChunkSize;
  } else if (line_.empty()) {
    state_ = State::kDone;
  } else {
    parse_field(line_);  // a trailer, which nobody asks for
  }
  line_.clear();
}

}  // namespace tessera::serve
