//===- Ptxas.cpp - NVIDIA's assembler, where there is one -----------------===//
#include "compiler/codegen/Ptxas.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace bitbyte::codegen {

std::optional<std::string> findPtxas() {
  if (auto path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  std::string home = "/usr/local/cuda";
  if (const char *named = std::getenv("CUDA_HOME"))
    home = named;
  if (auto path = llvm::sys::findProgramByName("ptxas", {home + "/bin"}))
    return *path;
  return std::nullopt;
}

/// The number that `pattern` captures in what ptxas says; 0 if it does not.
static int64_t numberIn(llvm::StringRef text, llvm::StringRef pattern) {
  llvm::SmallVector<llvm::StringRef, 2> parts;
  int64_t number = 0;
  if (llvm::Regex(pattern).match(text, &parts))
    parts[1].getAsInteger(10, number);
  return number;
}

llvm::Expected<Assembled> assemble(const std::string &ptxas,
                                   llvm::StringRef ptx, llvm::StringRef arch) {
  llvm::SmallString<128> folder;
  if (std::error_code error =
          llvm::sys::fs::createUniqueDirectory("bitbyte-ptxas", folder))
    return llvm::createStringError(error, "cannot make a temporary folder");
  auto cleanup =
      llvm::scope_exit([&] { llvm::sys::fs::remove_directories(folder); });
  auto pathOf = [&](llvm::StringRef name) {
    llvm::SmallString<128> path = folder;
    llvm::sys::path::append(path, name);
    return std::string(path);
  };
  std::string input = pathOf("kernel.ptx"), output = pathOf("kernel.cubin"),
              messages = pathOf("messages");
  std::error_code error;
  {
    llvm::raw_fd_ostream stream(input, error);
    stream << ptx;
    stream.close();
    if (error || stream.has_error()) {
      stream.clear_error();
      return llvm::createStringError("cannot write " + input);
    }
  }
  std::string machine = ("-arch=" + arch).str();
  llvm::StringRef arguments[] = {ptxas, "-v", machine, input, "-o", output};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""),
                                                llvm::StringRef(messages),
                                                llvm::StringRef(messages)};
  std::string failure;
  int status = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt,
                                         redirects, /*SecondsToWait=*/300,
                                         /*MemoryLimit=*/0, &failure);
  std::string said;
  if (auto file = llvm::MemoryBuffer::getFile(messages))
    said = (*file)->getBuffer().str();
  if (status != 0)
    return llvm::createStringError("ptxas refuses the kernel: " +
                                   (said.empty() ? failure : said));
  auto cubin = llvm::MemoryBuffer::getFile(output);
  if (!cubin)
    return llvm::createStringError(cubin.getError(), "cannot read " + output);
  return Assembled{(*cubin)->getBuffer().str(), said};
}

Resources resourcesOf(llvm::StringRef messages, llvm::StringRef symbol,
                      llvm::StringRef arch) {
  constexpr llvm::StringLiteral start = "Compiling entry function '";
  llvm::StringRef said = messages;
  size_t at = said.find((start + symbol + "'").str());
  said = said.substr(at).drop_front(std::min(start.size(), said.size()));
  said = said.take_front(said.find(start));
  Resources result;
  result.arch = arch;
  result.registers = numberIn(said, "Used ([0-9]+) registers");
  result.spillBytes = numberIn(said, "([0-9]+) bytes spill stores") +
                      numberIn(said, "([0-9]+) bytes spill loads");
  result.stackBytes = numberIn(said, "([0-9]+) bytes stack frame");
  result.sharedBytes = numberIn(said, "([0-9]+) bytes smem");
  return result;
}

} // namespace bitbyte::codegen
