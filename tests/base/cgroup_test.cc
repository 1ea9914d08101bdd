// Limits of control groups, on folders laid out as the kernel does it.
#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/available_cpus.h"
#include "base/system_memory.h"
#include "support/temp_folder.h"

namespace tessera {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr const char* kMountV2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
constexpr const char* kMountsV1 =
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 25 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

class CgroupTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const auto file = root() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void mount(const std::string& mounts, const std::string& groups) {
    write("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts);
    write("proc/self/cgroup", groups);
    write("proc/meminfo", "MemTotal: 99999999 kB\nMemAvailable: 65536000 kB\n");
  }
  CgroupLimits limits() { return cgroup_limits(root()); }
  const std::filesystem::path& root() { return folder_.path(); }

 private:
  test::TempFolder folder_;
};

TEST_F(CgroupTest, WithoutGroupsThereIsNoLimit) {
  EXPECT_FALSE(limits().cpus);
  EXPECT_FALSE(limits().memory);
  mount("", "0::/\n");
  EXPECT_FALSE(limits().cpus);
  EXPECT_EQ(available_memory(root()), size_t{65536000} << 10);
  EXPECT_GE(available_cpus(root()), 1);
}

TEST_F(CgroupTest, QuotasOfVersion2) {
  mount(kMountV2, "0::/\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_FALSE(limits().cpus);
  write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 1.5);
  write("sys/fs/cgroup/cpu.max", "5000 100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 0.05);
  EXPECT_EQ(available_cpus(root()), 1);
  write("sys/fs/cgroup/cpu.max", "nonsense\n");
  EXPECT_FALSE(limits().cpus);
}

TEST_F(CgroupTest, QuotasOfVersion1) {
  mount(kMountsV1, "4:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "50000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 5);
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(limits().cpus);
}

TEST_F(CgroupTest, TheTightestOfNestedGroupsCounts) {
  mount(kMountV2, "0::/user.slice/tessera.service\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "100000 100000\n");
  write("sys/fs/cgroup/user.slice/tessera.service/cpu.max", "400000 100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 1);
  write("sys/fs/cgroup/user.slice/memory.max", "104857600\n");
  write("sys/fs/cgroup/user.slice/memory.current", "94371840\n");
  write("sys/fs/cgroup/user.slice/tessera.service/memory.max", "52428800\n");
  write("sys/fs/cgroup/user.slice/tessera.service/memory.current", "10485760\n");
  EXPECT_EQ(*limits().memory, 10 * kMiB);
}

// In a container the names may be those of the host, of which only the own folder is mounted.
TEST_F(CgroupTest, GroupsThatAreMountedInPart) {
  mount("31 25 0:27 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        "4:cpu:/docker/abc/in\n");
  write("sys/fs/cgroup/cpu/in/cpu.cfs_quota_us", "200000\n");
  write("sys/fs/cgroup/cpu/in/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 2);
  mount(kMountV2, "0::/../../elsewhere\n");
  write("sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 3);
  mount("30 25 0:26 / /mnt/c\\040g rw - cgroup2 cgroup2 rw\n", "0::/\n");
  write("mnt/c g/cpu.max", "700000 100000\n");
  EXPECT_DOUBLE_EQ(*limits().cpus, 7);
}

TEST_F(CgroupTest, PagesOfFilesAreNotUsedMemory) {
  mount(kMountV2, "0::/app\n");
  write("sys/fs/cgroup/app/memory.max", "1073741824\n");
  write("sys/fs/cgroup/app/memory.current", "1073700000\n");
  write("sys/fs/cgroup/app/memory.stat",
        "anon 209715200\nactive_file 314572800\ninactive_file 524288000\n");
  EXPECT_EQ(*limits().memory, 1073741824 - (1073700000 - 314572800 - 524288000));
  EXPECT_EQ(available_memory(root()), *limits().memory);
  write("sys/fs/cgroup/app/memory.high", "536870912\n");
  EXPECT_EQ(*limits().memory, 536870912 - (1073700000 - 314572800 - 524288000));
  write("sys/fs/cgroup/app/memory.current", "9000000000\n");
  EXPECT_EQ(*limits().memory, 0u);
}

TEST_F(CgroupTest, MemoryOfVersion1) {
  mount(kMountsV1, "5:memory:/app\n4:cpu,cpuacct:/\n");
  write("sys/fs/cgroup/memory/app/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_FALSE(limits().memory);
  write("sys/fs/cgroup/memory/app/memory.limit_in_bytes", "209715200\n");
  write("sys/fs/cgroup/memory/app/memory.usage_in_bytes", "157286400\n");
  write("sys/fs/cgroup/memory/app/memory.stat",
        "cache 1\ntotal_inactive_file 52428800\ntotal_active_file 52428800\n");
  EXPECT_EQ(*limits().memory, 150 * kMiB);
}

}  // namespace
}  // namespace tessera
