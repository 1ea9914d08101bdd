// What is no file is refused at once, whatever it is.
#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/error_of.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using testing::HasSubstr;

TEST(MappedFile, HoldsTheBytes) {
  const test::TempFolder folder;
  const MappedFile file(folder.write("x", "abc"));
  ASSERT_EQ(file.bytes().size(), 3u);
  EXPECT_EQ(file.bytes()[1], std::byte{'b'});
}

TEST(MappedFile, IsNoFolderDeviceOrPipe) {
  const test::TempFolder folder;
  const auto error = [](const std::filesystem::path& path) {
    return error_of([&] { const MappedFile file(path); });
  };
  EXPECT_THAT(error(folder / "none"), HasSubstr("cannot open"));
  EXPECT_THAT(error(folder.path()), HasSubstr("is not a regular file"));
  EXPECT_THAT(error("/dev/zero"), HasSubstr("is not a regular file"));
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error(pipe), HasSubstr("is not a regular file"));
  EXPECT_THAT(error(folder.write("empty", "")), HasSubstr("is empty"));
}

}  // namespace
}  // namespace tessera
