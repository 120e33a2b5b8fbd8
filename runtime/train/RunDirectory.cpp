#include "runtime/train/RunDirectory.h"

#include "runtime/core/File.h"
#include "runtime/train/RunConfig.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace bitbyte {

namespace fs = std::filesystem;

/// Absent, empty, or left by a run that was refused before it began.
static bool isFree(const std::string &path) {
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(path, error))
    if (entry.path().filename() != "lock")
      return false;
  return true;
}

Result<RunDirectory> RunDirectory::open(const std::string &path, bool resume) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    return fail(ErrorKind::Usage, "{}: exists and is no folder", path);
  if (!resume && !isFree(path))
    return fail(ErrorKind::Usage,
                "{}: exists; give --resume to continue that run, or another "
                "--out",
                path);
  fs::create_directories(path, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: cannot be made: {}", path,
                systemError(error.value()));
  RunDirectory run;
  run.folder = path;
  run.lock =
      ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (run.lock < 0)
    return fail(ErrorKind::Failed, "{}/lock: cannot be opened: {}", path,
                systemError(errno));
  if (flock(run.lock, LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorKind::Usage, "{}: another process is training in it",
                path);
  return run;
}

RunDirectory::RunDirectory(RunDirectory &&other) noexcept
    : folder(std::move(other.folder)), lock(std::exchange(other.lock, -1)) {}

RunDirectory::~RunDirectory() {
  if (lock >= 0)
    close(lock);
}

std::string RunRecord::toToml() const {
  std::string text = "[run]\n";
  for (const auto &[key, value] : facts)
    text += fmt::format("{} = {}\n", key, tomlText(value));
  text += "changes = [";
  for (const std::string &change : changes)
    text += fmt::format("\n  {},", tomlText(change));
  return text + (changes.empty() ? "]\n" : "\n]\n");
}

} // namespace bitbyte
