#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/core/File.h"
#include "runtime/device/cpu/Machine.h"
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <cstring>
#include <fstream>
#include <gmock/gmock.h>

using namespace bitbyte;
using testing::HasSubstr;

static std::string cpuFlags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("flags"))
      return line + " ";
  return "";
}

TEST(Machine, LevelsAreThoseOfTheKernel) {
  std::string flags = cpuFlags();
  auto has = [&](const char *flag) {
    return flags.find(std::string(" ") + flag + " ") != std::string::npos;
  };
  std::vector<std::string> expected;
  if (has("avx512f") && has("avx512bw") && has("avx512_bf16") &&
      has("avx512_vnni"))
    expected.push_back("cpu-v4bf16");
  if (has("avx512f") && has("avx512bw"))
    expected.push_back("cpu-v4");
  if (has("avx2") && has("fma"))
    expected.push_back("cpu-v3");
  EXPECT_EQ(cpuTargets(), expected);
  EXPECT_FALSE(cpuName().empty());
}

TEST(Machine, ThreadsFollowTheAffinityMask) {
  cpu_set_t before, one;
  sched_getaffinity(0, sizeof(before), &before);
  EXPECT_LE(availableThreads(), CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &before)) {
      CPU_SET(cpu, &one);
      break;
    }
  sched_setaffinity(0, sizeof(one), &one);
  EXPECT_EQ(availableThreads(), 1);
  sched_setaffinity(0, sizeof(before), &before);
}

TEST(Machine, ThreadsFollowTheQuotaOfControlGroups) {
  test::TemporaryFolder root;
  auto put = [&](const std::string &name, const char *text) {
    std::filesystem::create_directories(
        std::filesystem::path(root / name).parent_path());
    std::ofstream(root / name) << text;
  };
  int all = availableThreads();
  put("proc/self/cgroup", "0::/box/inner\n");
  EXPECT_EQ(availableThreads(root.path), all); // no limit anywhere
  put("sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(availableThreads(root.path), all);
  put("sys/fs/cgroup/box/cpu.max", "60000 100000\n"); // the parent's counts
  EXPECT_EQ(availableThreads(root.path), 1);

  put("proc/self/cgroup", "3:memory:/m\n2:cpuacct,cpu:/one\n");
  put("sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "-1");
  put("sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000");
  EXPECT_EQ(availableThreads(root.path), all);
  put("sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "100000");
  EXPECT_EQ(availableThreads(root.path), 1);
}

namespace {

struct Cpu : testing::Test {
  void SetUp() override {
    test::write(folder / "a.bba", test::toyArtifact());
    auto opened = Artifact::open(folder / "a.bba");
    ASSERT_TRUE(opened) << opened.error().message;
    artifact = *opened;
    auto created = CpuDevice::create(2);
    ASSERT_TRUE(created) << created.error().message;
    device = std::move(*created);
  }
  Result<void> load(const char *symbol) {
    CodeModule module{"elf", artifact->variants[0].modules[0].code};
    CodeKernel kernel{"number", symbol, 0, /*programs=*/1000,
                      /*scratchBytes=*/64};
    return device->load({&module, 1}, {&kernel, 1}, "a.bba");
  }
  test::TemporaryFolder folder;
  std::shared_ptr<const Artifact> artifact;
  std::unique_ptr<CpuDevice> device;
};

} // namespace

TEST_F(Cpu, MemoryIsZeroedAndAligned) {
  for (uint64_t bytes : {64ul, 5000ul, 3ul << 20}) {
    auto memory = device->allocate(bytes);
    ASSERT_TRUE(memory);
    uint64_t alignment = bytes < (2ul << 20) ? 64 : 2ul << 20;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data) % alignment, 0u);
    EXPECT_EQ(memory->data[0], std::byte(0));
    EXPECT_EQ(memory->data[bytes - 1], std::byte(0));
    std::memset(memory->data, 1, bytes); // all of it is ours
  }
  auto none = device->allocate(0);
  ASSERT_TRUE(none);
  auto absurd = device->allocate(uint64_t(1) << 62);
  ASSERT_FALSE(absurd);
  EXPECT_EQ(absurd.error().kind, ErrorKind::NoDevice);
}

TEST_F(Cpu, LaunchesByIndexOverTheWholeGrid) {
  ASSERT_TRUE(load("toy_number"));
  std::vector<int64_t> numbers(1000);
  void *buffers[] = {numbers.data()};
  int64_t scalars[] = {7};
  ASSERT_TRUE(device->launch(0, buffers, scalars));
  for (int64_t i = 0; i < 1000; ++i)
    ASSERT_EQ(numbers[size_t(i)], i * 7 + 1);
}

TEST_F(Cpu, TwoLibrariesLiveSideBySide) {
  const Module &module = artifact->variants[0].modules[0];
  auto one = MachineCode::load(module.code, "one");
  auto other = MachineCode::load(module.code, "other");
  ASSERT_TRUE(one && other);
  EXPECT_NE((*one)->symbol("toy_number"), (*other)->symbol("toy_number"));
  EXPECT_EQ((*one)->symbol("nothing"), nullptr);
}

TEST_F(Cpu, RefusesCodeThatIsNone) {
  auto noElf =
      MachineCode::load(std::as_bytes(std::span("not machine code")), "a.bba");
  ASSERT_FALSE(noElf);
  EXPECT_EQ(noElf.error().kind, ErrorKind::BadInput);
  std::vector<std::byte> cut(artifact->variants[0].modules[0].code.begin(),
                             artifact->variants[0].modules[0].code.begin() +
                                 64);
  auto truncated = MachineCode::load(cut, "a.bba");
  ASSERT_FALSE(truncated);
  EXPECT_THAT(truncated.error().message, HasSubstr("a.bba: cannot load"));

  auto loaded = load("toy_missing");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("has no symbol 'toy_missing'"));
}

TEST_F(Cpu, CopiesAndZeroesLargeBlocks) {
  constexpr uint64_t bytes = (5u << 20) + 123;
  auto a = device->allocate(bytes), b = device->allocate(bytes);
  ASSERT_TRUE(a && b);
  std::vector<std::byte> values(bytes);
  for (size_t i = 0; i < bytes; ++i)
    values[i] = std::byte(i * 31 >> 4);
  ASSERT_TRUE(device->upload(a->data, values));
  ASSERT_TRUE(device->copy(b->data, a->data, bytes));
  std::vector<std::byte> back(bytes);
  ASSERT_TRUE(device->download(back, b->data));
  EXPECT_EQ(back, values);
  ASSERT_TRUE(device->zero(b->data, bytes));
  ASSERT_TRUE(device->download(back, b->data));
  EXPECT_EQ(back, std::vector<std::byte>(bytes));
}
