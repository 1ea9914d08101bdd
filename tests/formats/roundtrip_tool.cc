// The formats as a filter over files, for script/compare-formats.
//
//   roundtrip_tool generate gaussian|heavy COUNT OUT.f32
//   roundtrip_tool encode FORMAT IN.f32 OUT.bytes
//   roundtrip_tool decode FORMAT IN.bytes OUT.f32
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/format.h"
#include "test_data.h"

namespace tessera {
namespace {

template <typename T>
std::vector<T> read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("{}: cannot be opened", path);
  std::vector<T> data(static_cast<size_t>(file.tellg()) / sizeof(T));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(data.data()),
            static_cast<std::streamsize>(data.size() * sizeof(T)));
  return data;
}

template <typename T>
void write_all(const std::string& path, const std::vector<T>& data) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(data.data()),
             static_cast<std::streamsize>(data.size() * sizeof(T)));
  if (!file) fail("{}: cannot be written", path);
}

void run(const std::vector<std::string>& args) {
  if (args.size() != 4) fail("expected a command and three arguments");
  const std::string& command = args[0];
  if (command == "generate") {
    write_all(args[3], test_data(args[1], std::stoul(args[2])));
    return;
  }
  const Format& format = require_format(args[1]);
  if (command == "encode") {
    const auto values = read_all<float>(args[2]);
    std::vector<std::byte> bytes(format.row_bytes(values.size()));
    format.encode(values, bytes.data(), {});
    write_all(args[3], bytes);
  } else if (command == "decode") {
    const auto bytes = read_all<std::byte>(args[2]);
    std::vector<float> values(bytes.size() / format.block_bytes * format.block_elements);
    format.decode(bytes.data(), values);
    write_all(args[3], values);
  } else {
    fail("unknown command {}", command);
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  try {
    tessera::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
