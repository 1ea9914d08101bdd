// Zip archives as the tests need them.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::test {

struct ZipMember {
  std::string name, content;
  bool deflated = true;
};

inline std::string deflate_raw(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// Checksums are left 0: nobody reads them here.
inline std::string zip_of(const std::vector<ZipMember>& members) {
  std::string archive, directory;
  for (const ZipMember& member : members) {
    const std::string packed = member.deflated ? deflate_raw(member.content) : member.content;
    const std::string common =
        little_endian(20, 2) + little_endian(0, 2) + little_endian(member.deflated ? 8 : 0, 2) +
        little_endian(0, 8) + little_endian(packed.size(), 4) +
        little_endian(member.content.size(), 4) + little_endian(member.name.size(), 2);
    directory += "PK\1\2" + little_endian(20, 2) + common + little_endian(0, 12) +
                 little_endian(archive.size(), 4) + member.name;
    // The header beside the file has an extra field that the directory lacks, as zip tools write.
    archive += "PK\3\4" + common + little_endian(4, 2) + member.name + "xtra" + packed;
  }
  return archive + directory + "PK\5\6" + little_endian(0, 4) + little_endian(members.size(), 2) +
         little_endian(members.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(archive.size(), 4) + little_endian(7, 2) + "comment";
}

}  // namespace tessera::test
