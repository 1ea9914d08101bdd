// Memory in a file.
#include "base/swap_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "base/error.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

TEST(SwapFileTest, MemoryIsZeroedAndKeepsWhatIsWritten) {
  const test::TempFolder folder;
  SwapFile file(folder.path());
  const auto first = file.take(5000), second = file.take(1);
  EXPECT_TRUE(
      std::all_of(first.get(), first.get() + 5000, [](std::byte b) { return b == std::byte{0}; }));
  std::fill_n(first.get(), 5000, std::byte{1});
  *second = std::byte{2};
  const auto third = file.take(100);
  EXPECT_EQ(first.get()[4999], std::byte{1});
  EXPECT_EQ(*second, std::byte{2});
  EXPECT_EQ(*third, std::byte{0});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(third.get()) % 64, 0U);
}

TEST(SwapFileTest, MemoryOutlivesTheFileWhichHasNoName) {
  const test::TempFolder folder;
  std::shared_ptr<std::byte> memory;
  {
    SwapFile file(folder.path());
    memory = file.take(10);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
  *memory = std::byte{7};
  EXPECT_EQ(*memory, std::byte{7});
}

TEST(SwapFileTest, AFolderThatIsNotThereIsAnError) {
  const test::TempFolder folder;
  try {
    SwapFile file(folder.path() / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("none': No such file or directory"));
  }
}

// A limit on files stands for a disk without room.
TEST(SwapFileTest, ADiskWithoutRoomIsAnError) {
  const test::TempFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  SwapFile file(folder.path());
  EXPECT_NO_THROW(file.take(1 << 19));
  EXPECT_THROW(file.take(1 << 20), Error);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
}

}  // namespace
}  // namespace tessera
