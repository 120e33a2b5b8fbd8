#include "runtime/device/cuda/Code.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>

namespace bitbyte::cuda {

//===----------------------------------------------------------------------===//
// Looking into code
//===----------------------------------------------------------------------===//

std::optional<int> cubinArch(std::span<const std::byte> code) {
  // ELF64 of machine 190 (EM_CUDA); the architecture is in e_flags: since ABI 8
  // (CUDA 13) in the second byte, before in the first.
  if (code.size() < 64 || std::memcmp(code.data(),
                                      "\x7f"
                                      "ELF\2\1",
                                      6) != 0)
    return std::nullopt;
  uint16_t machine;
  std::memcpy(&machine, code.data() + 18, sizeof(machine));
  if (machine != 190)
    return std::nullopt;
  uint32_t flags;
  std::memcpy(&flags, code.data() + 48, sizeof(flags));
  return int(uint8_t(code[8]) >= 8 ? flags >> 8 & 0xff : flags & 0xff);
}

static bool isIdentifier(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$';
}

std::optional<size_t> countParameters(std::string_view ptx,
                                      std::string_view entry) {
  constexpr std::string_view keyword = ".entry";
  for (size_t at = ptx.find(keyword); at != std::string_view::npos;
       at = ptx.find(keyword, at + 1)) {
    size_t begin = ptx.find_first_not_of(" \t\r\n", at + keyword.size());
    if (begin == std::string_view::npos)
      return std::nullopt;
    size_t end = begin;
    while (end < ptx.size() && isIdentifier(ptx[end]))
      ++end;
    if (ptx.substr(begin, end - begin) != entry)
      continue;
    size_t open = ptx.find_first_not_of(" \t\r\n", end);
    if (open == std::string_view::npos || ptx[open] != '(')
      return 0;
    std::string_view list = ptx.substr(open, ptx.find(')', open) - open);
    size_t count = 0;
    for (size_t found = list.find(".param"); found != std::string_view::npos;
         found = list.find(".param", found + 1))
      ++count;
    return count;
  }
  return std::nullopt;
}

std::string_view ptxVersion(std::string_view ptx) {
  constexpr std::string_view keyword = ".version";
  size_t at = ptx.find(keyword);
  if (at == std::string_view::npos)
    return {};
  ptx.remove_prefix(at + keyword.size());
  size_t begin = std::min(ptx.find_first_not_of(" \t"), ptx.size());
  return ptx.substr(begin, ptx.find_first_of(" \t\r\n", begin) - begin);
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

namespace {

class Loader {
public:
  Loader(std::shared_ptr<Session> session, std::span<const CodeModule> modules,
         const std::string &path)
      : session(std::move(session)), modules(modules), path(path) {}

  Result<LoadedKernel> kernel(const CodeKernel &kernel);
  LoadedCode code;

private:
  const Driver &api() const { return session->api(); }
  const Facts &facts() const { return session->facts(); }

  Result<Module> module(uint32_t index);
  /// Null if no cubin fits.
  Result<Module> cubinFor(uint32_t index);
  Result<Module> compile(uint32_t index);
  Result<void> checkResources(const CodeKernel &kernel, Function function);
  Module keep(Module module) {
    code.modules.emplace_back(session, module, &Driver::cuModuleUnload);
    return module;
  }

  std::shared_ptr<Session> session;
  std::span<const CodeModule> modules;
  const std::string &path;
  std::map<uint32_t, Module> loaded;
};

Result<Module> Loader::cubinFor(uint32_t index) {
  uint32_t first = index + (modules[index].format == "ptx");
  for (uint32_t i = first; i < modules.size() && modules[i].format == "cubin";
       ++i) {
    if (cubinArch(modules[i].code) != facts().arch)
      continue;
    Module module = nullptr;
    Status status = api().cuModuleLoadDataEx(&module, modules[i].code.data(), 0,
                                             nullptr, nullptr);
    // An older driver does not know newer cubins; it compiles the PTX instead.
    if (status == Status::invalidImage || status == Status::noBinaryForGpu)
      continue;
    BB_CUDA(api(), status,
            fmt::format("{}: module {}, a cubin for sm_{}, cannot be loaded",
                        path, i, facts().arch));
    return keep(module);
  }
  return nullptr;
}

Result<Module> Loader::compile(uint32_t index) {
  std::span<const std::byte> code = modules[index].code;
  // The driver wants an end that a segment of the artifact need not have.
  std::string ptx(reinterpret_cast<const char *>(code.data()), code.size());
  std::string log(8192, '\0');
  JitOption options[] = {JitOption::errorLogBuffer,
                         JitOption::errorLogBufferSizeBytes};
  // Numbers travel in the pointers themselves.
  void *values[] = {log.data(),
                    reinterpret_cast<void *>(uintptr_t(log.size() - 1))};
  Module module = nullptr;
  Status status =
      api().cuModuleLoadDataEx(&module, ptx.c_str(), 2, options, values);
  if (status == Status::success)
    return keep(module);
  std::string what = fmt::format("{}: module {} (PTX {}) cannot be loaded on "
                                 "'{}', sm_{}, with a driver for CUDA {}",
                                 path, index, ptxVersion(ptx), facts().name,
                                 facts().arch, versionText(api().version));
  auto error = api().error(status, what);
  log.resize(std::strlen(log.c_str()));
  while (!log.empty() && (log.back() == '\n' || log.back() == ' '))
    log.pop_back();
  if (!log.empty())
    error.value().message += ":\n" + log;
  return error;
}

Result<Module> Loader::module(uint32_t index) {
  if (auto found = loaded.find(index); found != loaded.end())
    return found->second;
  std::string_view format = modules[index].format;
  if (format != "ptx" && format != "cubin")
    return fail(ErrorKind::BadInput,
                "{}: a GPU runs ptx and cubin modules, module {} is {}", path,
                index, format);
  BB_ASSIGN(Module module, cubinFor(index));
  if (!module && format == "cubin")
    return fail(ErrorKind::NoDevice,
                "{}: module {} is a cubin without PTX, and not one for sm_{} "
                "('{}') that this driver knows",
                path, index, facts().arch, facts().name);
  if (!module) {
    BB_ASSIGN(module, compile(index));
  }
  loaded[index] = module;
  return module;
}

Result<void> Loader::checkResources(const CodeKernel &kernel,
                                    Function function) {
  std::string what =
      fmt::format("{}: kernel '{}' cannot be set up", path, kernel.name);
  int threads = 0, shared = 0;
  BB_CUDA(api(),
          api().cuFuncGetAttribute(
              &threads, FunctionAttribute::maxThreadsPerBlock, function),
          what);
  BB_CUDA(api(),
          api().cuFuncGetAttribute(&shared, FunctionAttribute::sharedSizeBytes,
                                   function),
          what);
  if (kernel.threads > uint32_t(std::max(threads, 0)))
    return fail(ErrorKind::NoDevice,
                "{}: kernel '{}' has blocks of {} threads, but '{}' runs it "
                "with {} at most",
                path, kernel.name, kernel.threads, facts().name, threads);
  uint64_t bytes = kernel.scratchBytes + uint64_t(std::max(shared, 0));
  if (bytes > facts().sharedBytes)
    return fail(ErrorKind::NoDevice,
                "{}: kernel '{}' needs {} of shared memory, a block on '{}' "
                "has {} at most",
                path, kernel.name, formatBytes(bytes), facts().name,
                formatBytes(facts().sharedBytes));
  if (kernel.scratchBytes)
    BB_CUDA(api(),
            api().cuFuncSetAttribute(
                function, FunctionAttribute::maxDynamicSharedSizeBytes,
                int(kernel.scratchBytes)),
            what);
  return {};
}

Result<LoadedKernel> Loader::kernel(const CodeKernel &kernel) {
  if (kernel.threads == 0)
    return fail(ErrorKind::BadInput,
                "{}: kernel '{}' does not say how many threads its blocks have",
                path, kernel.name);
  if (kernel.programs > 0x7fffffff)
    return fail(ErrorKind::BadInput,
                "{}: kernel '{}' has {} programs, a GPU runs 2^31 - 1 at most",
                path, kernel.name, kernel.programs);
  BB_ASSIGN(Module module, this->module(kernel.module));
  LoadedKernel result;
  Status status = api().cuModuleGetFunction(&result.function, module,
                                            kernel.symbol.c_str());
  if (status == Status::notFound)
    return fail(ErrorKind::BadInput,
                "{}: kernel '{}' has no symbol '{}' in its code", path,
                kernel.name, kernel.symbol);
  BB_CUDA(api(), status,
          fmt::format("{}: kernel '{}' cannot be loaded", path, kernel.name));
  BB_TRY(checkResources(kernel, result.function));
  result.name = kernel.name;
  result.programs = unsigned(kernel.programs);
  result.threads = kernel.threads;
  result.scratchBytes = unsigned(kernel.scratchBytes);
  const CodeModule &source = modules[kernel.module];
  if (source.format == "ptx")
    result.parameters =
        countParameters({reinterpret_cast<const char *>(source.code.data()),
                         source.code.size()},
                        kernel.symbol);
  return result;
}

} // namespace

Result<LoadedCode> loadCode(std::shared_ptr<Session> session,
                            std::span<const CodeModule> modules,
                            std::span<const CodeKernel> kernels,
                            const std::string &path) {
  Loader loader(std::move(session), modules, path);
  for (const CodeKernel &kernel : kernels) {
    BB_ASSIGN(LoadedKernel loaded, loader.kernel(kernel));
    loader.code.kernels.push_back(std::move(loaded));
  }
  return std::move(loader.code);
}

} // namespace bitbyte::cuda
