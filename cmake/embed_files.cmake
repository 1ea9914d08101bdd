# Writes SOURCE: the bytes of FILES (below FOLDER) as C++ arrays, and their table.
set(arrays "")
set(table "")
set(number 0)
foreach(file ${FILES})
  file(READ ${FOLDER}/${file} hex HEX)
  file(SHA256 ${FOLDER}/${file} digest)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  # A zero at the end: an empty file gives no empty array.
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {${bytes}0};\n")
  string(APPEND table "    {\"${file}\", {reinterpret_cast<const char*>(kFile${number}), sizeof kFile${number} - 1}, \"\\\"${digest}\\\"\"},\n")
  math(EXPR number "${number} + 1")
endforeach()
set(text "// Made by cmake/embed_files.cmake.\n#include \"serve/http/assets.h\"\n\n#include <vector>\n\nnamespace tessera::serve {\nnamespace {\n${arrays}}  // namespace\n
std::span<const Asset> assets() {\n  static const std::vector<Asset> table = {\n${table}  };\n  return table;\n}\n\n}  // namespace tessera::serve\n")
file(WRITE ${SOURCE} "${text}")
