#include "files/zip.h"

#include <fnmatch.h>
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/error.h"

namespace tessera {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 16;
constexpr size_t kEndBytes = 22, kMaxCommentBytes = 65535;
constexpr size_t kEntryBytes = 46, kLocalBytes = 30;

struct Member {
  uint16_t method = 0;  // 0: stored, 8: deflated
  uint32_t packed_size = 0, size = 0, header = 0;
};

class Archive {
 public:
  Archive(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Member find(const std::string& pattern) const {
    std::optional<Member> found;
    const size_t end = find_end();
    size_t at = u32(end + 16);
    for (int left = u16(end + 10); left > 0; --left) {
      require_signature(at, 0x02014b50, "a directory entry");
      const size_t name_bytes = u16(at + 28);
      const std::string name(text(at + kEntryBytes, name_bytes));
      if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) {
        if (found) fail("'{}' holds several files like '{}'", name_, pattern);
        found = Member{u16(at + 10), u32(at + 20), u32(at + 24), u32(at + 42)};
      }
      at += kEntryBytes + name_bytes + u16(at + 30) + u16(at + 32);
    }
    if (!found) fail("'{}' holds no file like '{}'", name_, pattern);
    return *found;
  }

  // The member's bytes as they lie in the archive.
  std::string_view packed(const Member& member) const {
    require_signature(member.header, 0x04034b50, "a file");
    const size_t begin =
        size_t{member.header} + kLocalBytes + u16(member.header + 26) + u16(member.header + 28);
    return text(begin, member.packed_size);
  }

  [[noreturn]] void malformed(std::string_view what) const {
    fail("'{}' is not a valid zip archive: {}", name_, what);
  }

 private:
  // The end record is the last thing in the file but for a comment.
  size_t find_end() const {
    const size_t size = bytes_.size();
    for (size_t back = kEndBytes; back <= size && back <= kEndBytes + kMaxCommentBytes; ++back) {
      if (u32(size - back) == 0x06054b50) return size - back;
    }
    malformed("it has no directory");
  }

  std::string_view text(size_t offset, size_t count) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset)
      malformed("it ends before what it tells of");
    return {reinterpret_cast<const char*>(bytes_.data()) + offset, count};
  }
  uint16_t u16(size_t offset) const {
    const std::string_view t = text(offset, 2);
    return static_cast<uint16_t>(static_cast<uint8_t>(t[0]) | static_cast<uint8_t>(t[1]) << 8);
  }
  uint32_t u32(size_t offset) const { return u16(offset) | uint32_t{u16(offset + 2)} << 16; }
  void require_signature(size_t offset, uint32_t signature, std::string_view what) const {
    if (u32(offset) != signature) malformed(fmt::format("{} was expected at {}", what, offset));
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
};

void inflate_all(const Archive& archive, std::string_view packed, uint64_t size,
                 FunctionRef<void(std::string_view)> sink) {
  struct Stream : z_stream {
    Stream() : z_stream{} {}
    ~Stream() { inflateEnd(this); }
  } stream;
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail("cannot start zlib");  // raw: no header
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string piece(kPieceBytes, '\0');
  uint64_t done = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    const size_t count = piece.size() - stream.avail_out;
    done += count;
    if ((state != Z_OK && state != Z_STREAM_END) || done > size ||
        (state == Z_STREAM_END && done < size)) {
      archive.malformed("a deflated file is damaged");
    }
    sink(std::string_view(piece).substr(0, count));
  }
}

}  // namespace

void extract_zip_member(std::span<const std::byte> bytes, const std::string& name,
                        const std::string& pattern,
                        FunctionRef<void(std::string_view piece)> sink) {
  const Archive archive(bytes, name);
  const Member member = archive.find(pattern);
  const std::string_view packed = archive.packed(member);
  if (member.method == 8) return inflate_all(archive, packed, member.size, sink);
  if (member.method != 0) archive.malformed("a file is neither stored nor deflated");
  if (member.size != member.packed_size) archive.malformed("a stored file has two sizes");
  sink(packed);
}

}  // namespace tessera
