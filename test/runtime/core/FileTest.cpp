#include "runtime/core/File.h"
#include "runtime/core/Memory.h"
#include "test/runtime/core/TemporaryFolder.h"

#include <csignal>
#include <gmock/gmock.h>
#include <sys/resource.h>

using namespace bitbyte;
using testing::HasSubstr;

static std::vector<std::string> filesIn(const std::string &folder) {
  std::vector<std::string> names;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(File, AppearsWholeOnCommit) {
  test::TemporaryFolder folder;
  {
    auto file = AtomicFile::create(folder / "a");
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->write("half"));
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  }
  EXPECT_THAT(filesIn(folder.path), testing::IsEmpty()); // nothing left behind

  ASSERT_TRUE(writeFileAtomically(folder / "a", "first"));
  ASSERT_TRUE(writeFileAtomically(folder / "a", "second"));
  EXPECT_THAT(filesIn(folder.path), testing::ElementsAre("a"));
  auto read = MappedFile::open(folder / "a");
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)->text(), "second");
}

TEST(File, AFailedWriteKeepsTheOldFile) {
  test::TemporaryFolder folder;
  ASSERT_TRUE(writeFileAtomically(folder / "a", "old"));

  // Files above 4 KiB fail, as on a full disk.
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small{4096, before.rlim_max};
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  auto result = writeFileAtomically(folder / "a", std::string(10000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);

  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::Failed);
  EXPECT_THAT(result.error().message, HasSubstr("/a: cannot write"));
  EXPECT_THAT(filesIn(folder.path), testing::ElementsAre("a"));
  EXPECT_EQ((*MappedFile::open(folder / "a"))->text(), "old");
}

TEST(File, AFullDiskIsNamedAsSuch) {
  auto file = AtomicFile::create("/dev/full");
  ASSERT_TRUE(file) << file.error().message;
  auto result = file->write("x");
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message,
              HasSubstr("the disk is full: 1 B more to write"));
}

TEST(File, ALinkStaysALink) {
  test::TemporaryFolder folder;
  ASSERT_TRUE(writeFileAtomically(folder / "a", "old"));
  std::filesystem::create_symlink("a", folder / "link");
  ASSERT_TRUE(writeFileAtomically(folder / "link", "new"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ((*MappedFile::open(folder / "a"))->text(), "new");
}

TEST(File, DevicesAreNeverReplaced) {
  auto before = std::filesystem::symlink_status("/dev/stdout").type();
  ASSERT_TRUE(writeFileAtomically("/dev/null", "x"));
  ASSERT_TRUE(writeFileAtomically("/dev/stdout", ""));
  EXPECT_EQ(std::filesystem::symlink_status("/dev/stdout").type(), before);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(File, ErrorsNameThePath) {
  test::TemporaryFolder folder;
  auto missing = MappedFile::open(folder / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::BadInput);
  EXPECT_THAT(missing.error().message,
              HasSubstr("/missing: cannot open: No such file"));
  auto asFile = MappedFile::open(folder.path);
  ASSERT_FALSE(asFile);
  EXPECT_THAT(asFile.error().message, HasSubstr("is a folder"));
  EXPECT_FALSE(AtomicFile::create(folder / "no/such/folder"));
}

TEST(File, AnEmptyFileHasNoBytes) {
  test::TemporaryFolder folder;
  ASSERT_TRUE(writeFileAtomically(folder / "empty", ""));
  auto file = MappedFile::open(folder / "empty");
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST(Memory, RoomIsWhatTheMachineHasAtMost) {
  MemoryRoom room = memoryRoom();
  EXPECT_GT(room.bytes, uint64_t(1) << 20);
  EXPECT_LT(room.bytes, uint64_t(1) << 50);
  EXPECT_FALSE(room.limit.empty());
}

TEST(Memory, TheAddressSpaceLimitCounts) {
  rlimit before;
  getrlimit(RLIMIT_AS, &before);
  rlimit small{uint64_t(1) << 30, before.rlim_max};
  setrlimit(RLIMIT_AS, &small);
  MemoryRoom room = memoryRoom();
  setrlimit(RLIMIT_AS, &before);
  EXPECT_LT(room.bytes, uint64_t(1) << 30);
  EXPECT_THAT(room.limit, HasSubstr("ulimit -v"));
}

TEST(Memory, BytesAreWrittenInBinaryUnits) {
  EXPECT_EQ(formatBytes(512), "512 B");
  EXPECT_EQ(formatBytes(1536), "1.50 KiB");
  EXPECT_EQ(formatBytes(uint64_t(23.5 * (1 << 30))), "23.5 GiB");
}
