#include "runtime/core/File.h"

#include "runtime/core/Memory.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace bitbyte {

std::string systemError(int error) {
  char text[128];
  return strerror_r(error, text, sizeof(text));
}

/// The folder that holds `path`.
static std::string folderOf(const std::string &path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

//===----------------------------------------------------------------------===//
// MappedFile
//===----------------------------------------------------------------------===//

static Result<std::vector<std::byte>> readToEnd(int descriptor,
                                                const std::string &path) {
  std::vector<std::byte> bytes;
  for (size_t used = 0;;) {
    bytes.resize(used + (size_t(1) << 16));
    ssize_t count = read(descriptor, bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EINTR)
      count = 0;
    else if (count < 0)
      return fail(ErrorKind::BadInput, "{}: cannot read past byte {}: {}", path,
                  used, systemError(errno));
    else if (count == 0) {
      bytes.resize(used);
      return bytes;
    }
    used += size_t(count);
  }
}

Result<std::shared_ptr<const MappedFile>>
MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(ErrorKind::BadInput, "{}: cannot open: {}", path,
                systemError(errno));
  struct Closer {
    int descriptor;
    ~Closer() { close(descriptor); }
  } closer{descriptor};

  struct stat status;
  if (fstat(descriptor, &status) != 0)
    return fail(ErrorKind::BadInput, "{}: cannot read its size: {}", path,
                systemError(errno));
  if (S_ISDIR(status.st_mode))
    return fail(ErrorKind::BadInput, "{}: is a folder, not a file", path);

  std::shared_ptr<MappedFile> file(new MappedFile(path));
  if (S_ISREG(status.st_mode)) {
    size_t size = size_t(status.st_size);
    if (size == 0)
      return file;
    void *mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapped != MAP_FAILED) {
      file->mapped = mapped;
      file->view = {static_cast<const std::byte *>(mapped), size};
      return file;
    }
  }
  BB_ASSIGN(std::vector<std::byte> read, readToEnd(descriptor, path));
  if (read.empty())
    return file;
  file->mapped = mmap(nullptr, read.size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (file->mapped == MAP_FAILED) {
    file->mapped = nullptr;
    return fail(ErrorKind::NoDevice, "{}: no memory for its {}", path,
                formatBytes(read.size()));
  }
  std::memcpy(file->mapped, read.data(), read.size());
  file->view = {static_cast<const std::byte *>(file->mapped), read.size()};
  return file;
}

MappedFile::~MappedFile() {
  if (mapped)
    munmap(mapped, view.size());
}

//===----------------------------------------------------------------------===//
// AtomicFile
//===----------------------------------------------------------------------===//

/// The file that a path means: a rename must not replace a link by a file.
static std::string behindLinks(const std::string &path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error))
    return path;
  std::filesystem::path target = std::filesystem::weakly_canonical(path, error);
  return error ? path : target.string();
}

/// What is written in place, because it is no file or not ours to replace.
static bool isDevice(const std::string &path) {
  struct stat status;
  bool special = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
                 !S_ISDIR(status.st_mode);
  bool inDev =
      path.starts_with("/dev/") && !path.starts_with("/dev/shm/"); // a disk
  return special || inDev || path.starts_with("/proc/");
}

Result<AtomicFile> AtomicFile::create(const std::string &path) {
  AtomicFile file;
  file.path = path;
  if (path == "-" || path == "/dev/stdout") {
    // Not opened anew: a redirected file would be written from its beginning.
    file.descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  } else if (isDevice(path)) {
    file.descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    file.path = behindLinks(path);
    if (std::error_code error; std::filesystem::is_directory(file.path, error))
      return fail(ErrorKind::Failed, "{}: cannot write: it is a folder", path);
    static std::atomic<unsigned> counter = 0;
    file.temporary =
        fmt::format("{}.tmp-{}-{}", file.path, getpid(), counter++);
    file.descriptor = ::open(file.temporary.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (file.descriptor < 0) {
    int error = errno;
    file.temporary.clear();
    return fail(ErrorKind::Failed, "{}: cannot write: {}", path,
                systemError(error));
  }
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)),
      descriptor(std::exchange(other.descriptor, -1)) {
  other.temporary.clear();
}

AtomicFile::~AtomicFile() {
  if (descriptor >= 0)
    close(descriptor);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

Result<void> AtomicFile::failed(std::string_view doing, uint64_t missing,
                                int error) const {
  if (error == ENOSPC || error == EDQUOT) {
    struct statvfs disk{};
    statvfs(folderOf(path).c_str(), &disk);
    return fail(
        ErrorKind::Failed,
        "{}: the disk is full: {} more to write, {} free; nothing was changed",
        path, formatBytes(missing),
        formatBytes(uint64_t(disk.f_bavail) * disk.f_frsize));
  }
  return fail(ErrorKind::Failed, "{}: cannot {}: {}", path, doing,
              systemError(error));
}

Result<void> AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failed("write", bytes.size(), errno);
    bytes = bytes.subspan(size_t(count));
  }
  return {};
}

Result<void> AtomicFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text)));
}

Result<void> AtomicFile::commit() {
  if (temporary.empty())
    return {};
  // Delayed allocation reports a full disk only here.
  if (fsync(descriptor) != 0)
    return failed("flush", 0, errno);
  if (close(std::exchange(descriptor, -1)) != 0)
    return failed("close", 0, errno);
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return failed("rename into place", 0, errno);
  temporary.clear();
  return syncFolder(folderOf(path));
}

Result<void> writeFileAtomically(const std::string &path,
                                 std::span<const std::byte> bytes) {
  BB_ASSIGN(AtomicFile file, AtomicFile::create(path));
  BB_TRY(file.write(bytes));
  return file.commit();
}

Result<void> writeFileAtomically(const std::string &path,
                                 std::string_view text) {
  return writeFileAtomically(path, std::as_bytes(std::span(text)));
}

Result<void> syncFolder(const std::string &path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return fail(ErrorKind::Failed, "{}: cannot open the folder: {}", path,
                systemError(errno));
  // Some file systems cannot flush folders; their renames are durable anyway.
  int code = fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
  close(descriptor);
  if (code != 0)
    return fail(ErrorKind::Failed, "{}: cannot flush the folder: {}", path,
                systemError(code));
  return {};
}

} // namespace bitbyte
