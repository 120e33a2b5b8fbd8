#include "runtime/device/cpu/MachineCode.h"

#include "runtime/core/File.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bitbyte {

static bool isLibrary(std::span<const std::byte> elf) {
  Elf64_Ehdr header;
  if (elf.size() < sizeof(header))
    return false;
  std::memcpy(&header, elf.data(), sizeof(header));
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_machine == EM_X86_64 && header.e_type == ET_DYN;
}

static bool writeAll(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR)
      return false;
    bytes = bytes.subspan(size_t(std::max<ssize_t>(count, 0)));
  }
  return true;
}

Result<std::unique_ptr<MachineCode>>
MachineCode::load(std::span<const std::byte> elf, const std::string &path) {
  if (!isLibrary(elf))
    return fail(ErrorKind::BadInput,
                "{}: its machine code is no x86-64 shared library", path);
  std::unique_ptr<MachineCode> code(new MachineCode);
  code->descriptor = memfd_create("bitbyte-kernels", MFD_CLOEXEC);
  if (code->descriptor >= 0 && writeAll(code->descriptor, elf))
    code->handle =
        dlopen(fmt::format("/proc/self/fd/{}", code->descriptor).c_str(),
               RTLD_NOW | RTLD_LOCAL);
  if (code->handle)
    return code;

  // Some systems forbid code from memory or have no /proc: a temporary file
  // does.
  const char *folder = std::getenv("TMPDIR");
  std::string name = std::string(folder && *folder ? folder : "/tmp") +
                     "/bitbyte-kernels-XXXXXX";
  int file = mkostemp(name.data(), O_CLOEXEC);
  if (file < 0)
    return fail(ErrorKind::Failed,
                "{}: cannot load machine code by way of {}: {}", path, name,
                systemError(errno));
  bool written = writeAll(file, elf);
  int error = errno;
  close(file);
  if (written)
    code->handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char *reason = written ? dlerror() : nullptr;
  unlink(name.c_str());
  if (!code->handle)
    return fail(written ? ErrorKind::BadInput : ErrorKind::Failed,
                "{}: cannot load its machine code: {}", path,
                reason ? reason : systemError(error));
  return code;
}

MachineCode::~MachineCode() {
  if (handle)
    dlclose(handle);
  if (descriptor >= 0)
    close(descriptor);
}

void *MachineCode::symbol(const std::string &name) const {
  return dlsym(handle, name.c_str());
}

} // namespace bitbyte
