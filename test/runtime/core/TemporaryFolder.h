//===- TemporaryFolder.h - A folder that goes with its test ---------------===//
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace bitbyte::test {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern =
        std::filesystem::temp_directory_path() / "bitbyte-XXXXXX";
    path = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string operator/(const std::string &name) const {
    return path + "/" + name;
  }

  std::string path;
};

} // namespace bitbyte::test
