// Reads PTX, and runs what could be read: the emulator must stand any program,
// as it must any text. Kernels get buffers for their 64-bit parameters.
#include "runtime/device/emu/Executor.h"

#include <cstring>

using namespace bitbyte::emu;

static void run(const Kernel &kernel, Schedule schedule) {
  alignas(128) static std::byte buffers[4][4096];
  AddressSpace memory;
  std::vector<std::byte> parameters(kernel.parameterBytes, std::byte(1));
  size_t next = 0;
  for (const Parameter &parameter : kernel.parameters) {
    if (parameter.bytes != 8 ||
        parameter.offset + parameter.bytes > parameters.size())
      continue;
    const std::byte *buffer = buffers[next++ % 4];
    std::memcpy(&parameters[parameter.offset], &buffer, sizeof(buffer));
  }
  for (auto &buffer : buffers)
    memory.add(buffer, sizeof(buffer));
  for (const auto &variable : kernel.module->variables)
    memory.add(variable->storage.data(), variable->storage.size() * 8,
               variable->readOnly);
  Grid grid{kernel, {2, 1, 1}, {64, 1, 1}, 4096, parameters};
  if (kernel.requiredThreads[0])
    std::copy(kernel.requiredThreads, kernel.requiredThreads + 3, grid.threads);
  if (!checkGrid(grid))
    return;
  Options options;
  options.schedule = schedule;
  options.checkGlobal = true;
  options.instructionLimit = 2000;
  (void)execute(grid, options, memory);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  auto module = Module::parse(std::move(text), "fuzz.ptx");
  if (!module)
    return 0;
  for (size_t i = 0; i < (*module)->kernels.size() && i < 2; ++i)
    for (Schedule schedule :
         {Schedule::Eager, Schedule::Lazy, Schedule::Random})
      run(*(*module)->kernels[i], schedule);
  return 0;
}
