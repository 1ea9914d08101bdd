#include "base/atomic_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

using test::read_bytes;
using test::TempFolder;

size_t count_files(const TempFolder& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TempFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("hello");
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    file.commit();
  }
  EXPECT_EQ(read_bytes(folder / "a"), "hello");
  EXPECT_EQ(count_files(folder), 1u);
}

TEST(AtomicFile, LeavesTheTargetAloneIfNotCommitted) {
  const TempFolder folder;
  folder.write("a", "old");
  { AtomicFile(folder / "a").write("new"); }
  EXPECT_EQ(read_bytes(folder / "a"), "old");
  EXPECT_EQ(count_files(folder), 1u);
}

// A rename would replace the device by a file.
TEST(AtomicFile, RefusesADevice) {
  EXPECT_THROW(AtomicFile("/dev/null"), Error);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(AtomicFile, RefusesAFolderThatIsNotThere) {
  const TempFolder folder;
  EXPECT_THROW(AtomicFile(folder / "no/such/file"), Error);
}

}  // namespace
}  // namespace tessera
