#include "runtime/data/pack/PackageFetch.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;

namespace bitbyte {

/// Runs a program in `directory`. Its output is shown only if it fails: as the
/// error, the last line of it.
static Result<void> runIn(const std::string &directory,
                          std::vector<std::string> command, ErrorKind kind) {
  int ends[2];
  if (pipe(ends) != 0)
    return fail(ErrorKind::Failed, "pipe: {}", std::strerror(errno));
  std::vector<char *> argv;
  for (std::string &word : command)
    argv.push_back(word.data());
  argv.push_back(nullptr);

  pid_t child = fork();
  if (child < 0) {
    close(ends[0]);
    close(ends[1]);
    return fail(ErrorKind::Failed, "fork: {}", std::strerror(errno));
  }
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    setenv("LC_ALL", "C", 1);
    if (chdir(directory.c_str()) == 0)
      execvp(argv[0], argv.data());
    dprintf(2, "%s: %s\n", argv[0], std::strerror(errno));
    _exit(127);
  }
  close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof(buffer))) != 0;) {
    if (got < 0 && errno != EINTR)
      break;
    if (got > 0)
      output.append(buffer, got);
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};

  while (!output.empty() && output.back() == '\n')
    output.pop_back();
  std::string last = output.substr(output.rfind('\n') + 1);
  return fail(kind, "{} {}: {}", command[0], command[1],
              last.empty() ? "failed" : last);
}

/// The .deb of this package, of this version or any: NAME_VERSION_ARCH.deb,
/// where ":" in a version is written "%3a".
static std::string findDeb(const std::string &directory,
                           const std::string &name,
                           const std::string &version) {
  std::string stem = name + "_";
  for (char c : version)
    stem += c == ':' ? "%3a" : std::string(1, c);
  if (!version.empty())
    stem += "_";
  std::error_code error;
  std::vector<std::string> found;
  for (const auto &entry : fs::directory_iterator(directory, error)) {
    std::string file = entry.path().filename().string();
    if (file.starts_with(stem) && file.ends_with(".deb"))
      found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found.empty() ? "" : found.back();
}

static std::string versionOf(const std::string &deb) {
  std::string file = fs::path(deb).filename().string();
  size_t begin = file.find('_') + 1;
  std::string version = file.substr(begin, file.rfind('_') - begin);
  if (size_t colon = version.find("%3a"); colon != std::string::npos)
    version.replace(colon, 3, ":");
  return version;
}

Result<FetchedPackage> fetchPackage(const std::string &name,
                                    const std::string &version,
                                    const std::string &cache,
                                    const Notice &notice) {
  if (std::string file = findDeb(cache, name, version); !file.empty())
    return FetchedPackage{file, version};

  // Into a folder of its own, so that a download that is cut off never looks
  // like a package of the cache.
  std::string partial = fmt::format("{}/partial-{}", cache, getpid());
  std::error_code error;
  fs::create_directories(partial, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: {}", partial, error.message());
  struct Cleanup {
    std::string path;
    ~Cleanup() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } cleanup{partial};

  auto download = [&](const std::string &what) {
    std::vector<std::string> command = {"apt-get", "download", what};
    // As root, apt would drop to a user that cannot write here, and complain.
    if (geteuid() == 0)
      command.insert(command.begin() + 1, {"-o", "APT::Sandbox::User=root"});
    return runIn(partial, command, ErrorKind::Failed);
  };
  notice(fmt::format("downloading {} {}", name, version));
  Result<void> got = download(name + "=" + version);
  if (!got && geteuid() == 0) {
    notice("apt does not know it: running apt-get update");
    if (runIn(partial, {"apt-get", "update"}, ErrorKind::Failed))
      got = download(name + "=" + version);
  }
  if (!got) {
    // Then what the archive has now, and without an archive what the cache has.
    notice(
        fmt::format("{} {} is not to be had; taking the version that apt has",
                    name, version));
    if (Result<void> other = download(name); !other) {
      if (std::string file = findDeb(cache, name, ""); !file.empty())
        return FetchedPackage{file, versionOf(file)};
      return fail(ErrorKind::Failed,
                  "cannot download the package {}: {}; without a network, put "
                  "its .deb into {}",
                  name, other.error().message, cache);
    }
  }
  std::string file = findDeb(partial, name, "");
  if (file.empty())
    return fail(ErrorKind::Failed, "apt-get download {} left no .deb", name);
  std::string kept = cache + "/" + fs::path(file).filename().string();
  fs::rename(file, kept, error);
  if (error)
    return fail(ErrorKind::Failed, "{}: {}", kept, error.message());
  return FetchedPackage{kept, versionOf(kept)};
}

Result<void> unpackPackage(const std::string &file,
                           const std::string &directory) {
  Result<void> unpacked =
      runIn("/", {"dpkg-deb", "-x", file, directory}, ErrorKind::BadInput);
  if (!unpacked)
    return fail(ErrorKind::BadInput, "{}: {}", file, unpacked.error().message);
  return {};
}

} // namespace bitbyte
