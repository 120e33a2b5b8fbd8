//===- Link.cpp - Objects to one shared library ---------------------------===//
#include "compiler/codegen/Link.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

namespace bitbyte::codegen {

llvm::Expected<std::vector<char>>
linkSharedLibrary(llvm::ArrayRef<std::string> objects) {
  llvm::SmallString<128> folder;
  if (std::error_code error =
          llvm::sys::fs::createUniqueDirectory("bitbyte-link", folder))
    return llvm::createStringError(error, "cannot make a temporary folder");
  auto cleanup =
      llvm::scope_exit([&] { llvm::sys::fs::remove_directories(folder); });

  std::vector<std::string> paths;
  auto pathOf = [&](const llvm::Twine &name) {
    llvm::SmallString<128> path = folder;
    llvm::sys::path::append(path, name);
    return std::string(path);
  };
  for (auto [index, object] : llvm::enumerate(objects)) {
    paths.push_back(pathOf("kernel" + llvm::Twine(index) + ".o"));
    std::error_code error;
    llvm::raw_fd_ostream stream(paths.back(), error);
    stream << object;
    stream.close();
    if (error || stream.has_error()) {
      stream.clear_error();
      return llvm::createStringError("cannot write " + paths.back());
    }
  }

  std::string output = pathOf("kernels.so");
  // --no-undefined: a call of the C library would show here, not at load.
  std::vector<const char *> arguments = {
      "ld.lld",           "-shared", "--no-undefined", "--build-id=none", "-s",
      "--hash-style=gnu", "-o",      output.c_str()};
  for (const std::string &path : paths)
    arguments.push_back(path.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  static std::mutex oneAtATime; // lld has global state
  std::lock_guard lock(oneAtATime);
  lld::Result result =
      lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return llvm::createStringError("lld cannot link the kernels: " + messages);
  auto file = llvm::MemoryBuffer::getFile(output);
  if (!file)
    return llvm::createStringError(file.getError(), "cannot read " + output);
  llvm::StringRef bytes = (*file)->getBuffer();
  return std::vector<char>(bytes.begin(), bytes.end());
}

} // namespace bitbyte::codegen
