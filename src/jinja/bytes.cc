#include "jinja/bytes.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/builtins.h"
#include "jinja/unicode.h"

namespace tessera::jinja {
namespace {

enum class Encoding { kUtf8, kAscii, kLatin1 };

Encoding find_encoding(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == '_' || c == ' ')
      plain += '-';
    else
      plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  }
  if (plain == "utf-8" || plain == "utf8" || plain == "u8") return Encoding::kUtf8;
  if (plain == "ascii" || plain == "us-ascii") return Encoding::kAscii;
  if (plain == "latin-1" || plain == "latin1" || plain == "iso-8859-1") return Encoding::kLatin1;
  fail("unknown encoding: {}", name);
}

char32_t first_beyond(Encoding encoding) {
  return encoding == Encoding::kAscii ? 0x80 : encoding == Encoding::kLatin1 ? 0x100 : 0x110000;
}

enum class OnError { kStrict, kIgnore, kReplace };

OnError find_error_handler(std::string_view name) {
  if (name == "strict") return OnError::kStrict;
  if (name == "ignore") return OnError::kIgnore;
  if (name == "replace") return OnError::kReplace;
  fail("unknown error handler name '{}'", name);
}

Value decode_bytes(const Call& call);
Value hexadecimal(const Call& call);

class Bytes : public Object, public std::enable_shared_from_this<Bytes> {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}

  const std::string& bytes() const { return bytes_; }
  std::string type_name() const override { return "bytes"; }
  std::optional<int64_t> length() const override { return static_cast<int64_t>(bytes_.size()); }
  std::string repr() const override;
  std::optional<Value> attribute(std::string_view name) override {
    if (name == "decode") return bind_method(decode_bytes, "decode", shared_from_this());
    if (name == "hex") return bind_method(hexadecimal, "hex", shared_from_this());
    return std::nullopt;
  }

 private:
  std::string bytes_;
};

std::string Bytes::repr() const {
  const bool doubled = bytes_.find('\'') != bytes_.npos && bytes_.find('"') == bytes_.npos;
  const char quote = doubled ? '"' : '\'';
  std::string out = {'b', quote};
  for (const char c : bytes_) {
    constexpr std::string_view kCodes = "\t\n\r\\", kLetters = "tnr\\";
    const auto byte = static_cast<unsigned char>(c);
    if (const size_t at = kCodes.find(c); at != kCodes.npos) {
      out += {'\\', kLetters[at]};
    } else if (c == quote) {
      out += {'\\', c};
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + quote;
}

Value decode_bytes(const Call& call) {
  const Bound bound = call.bind({"encoding", "errors"});
  const Encoding encoding = find_encoding(bound.text(0, "utf-8"));
  const OnError on_error = find_error_handler(bound.text(1, "strict"));
  const std::string_view bytes = call.self.object_as<Bytes>()->bytes();
  call.budget().create_text(3 * bytes.size());
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    Utf8Prefix prefix{Utf8Prefix::Kind::kComplete, 1};
    if (encoding == Encoding::kUtf8) prefix = inspect_utf8(bytes.substr(i));
    if (encoding == Encoding::kLatin1) {
      append_utf8(out, byte);
    } else if (prefix.kind == Utf8Prefix::Kind::kComplete &&
               (encoding == Encoding::kUtf8 || byte < 0x80)) {
      out += bytes.substr(i, prefix.length);
    } else if (on_error == OnError::kStrict) {
      fail("decode(): byte {:#04x} at position {} is not {}", byte, i, bound.text(0, "utf-8"));
    } else if (on_error == OnError::kReplace) {
      out += kReplacementCharacter;
    }
    i += prefix.length;
  }
  return out;
}

Value hexadecimal(const Call& call) {
  call.no_arguments();
  const std::string& bytes = call.self.object_as<Bytes>()->bytes();
  call.budget().create_text(2 * bytes.size());
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

}  // namespace

Value encode_text(std::string_view text, std::string_view encoding_name, std::string_view errors,
                  Budget& budget) {
  const Encoding encoding = find_encoding(encoding_name);
  const OnError on_error = find_error_handler(errors);
  budget.create_text(text.size());
  if (encoding == Encoding::kUtf8) return std::make_shared<Bytes>(std::string(text));
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = unicode::decode(text, i);
    if (c < first_beyond(encoding)) {
      out += static_cast<char>(c);
    } else if (on_error == OnError::kStrict) {
      fail("encode(): {} has no character U+{:04X}", encoding_name, static_cast<uint32_t>(c));
    } else if (on_error == OnError::kReplace) {
      out += '?';
    }
  }
  return std::make_shared<Bytes>(std::move(out));
}

}  // namespace tessera::jinja
