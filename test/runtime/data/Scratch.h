//===- Scratch.h - A folder for one test ----------------------------------===//
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

/// Made on construction, removed with its content at the end.
struct Scratch {
  std::filesystem::path path;

  Scratch() {
    std::string name =
        std::filesystem::temp_directory_path() / "bb-data-XXXXXX";
    path = mkdtemp(name.data());
  }
  ~Scratch() { std::filesystem::remove_all(path); }

  std::string operator/(const std::string &name) const { return path / name; }

  std::string write(const std::string &name, std::string_view bytes) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
  std::string read(const std::string &name) const {
    std::ifstream file(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};
