//===- Emulated.h - Kernels for a GPU on the emulator ---------------------===//
#pragma once

#include "runtime/device/emu/EmuDevice.h"

#include <map>

/// The kernels of a text, as PTX on the emulator with all its checks. Findings
/// fail the test.
class Emulated {
public:
  Emulated(const std::string &text, const std::string &schedule);
  /// Runs all programs of a kernel on buffers in order; every one may change.
  void run(const std::string &name, const std::vector<void *> &buffers,
           const std::vector<size_t> &sizes);

private:
  std::vector<char> code;
  std::map<std::string, uint32_t> numbers;
  std::unique_ptr<bitbyte::EmuDevice> device;
};
