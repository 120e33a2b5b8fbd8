//===- Emulated.cpp - Kernels for a GPU on the emulator -------------------===//
#include "test/passes/tile/Emulated.h"

#include "compiler/codegen/Codegen.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace mlir;
using namespace bitbyte;

Emulated::Emulated(const std::string &text, const std::string &schedule) {
  MLIRContext context;
  context.loadDialect<tile::TileDialect, arith::ArithDialect, math::MathDialect,
                      scf::SCFDialect>();
  auto module = parseSourceString<ModuleOp>(text, &context);
  std::vector<tile::KernelOp> kernels;
  for (auto kernel : module->getOps<tile::KernelOp>())
    kernels.push_back(kernel);
  setenv("CUDA_HOME", "/none", 1); // the emulator needs no cubins
  codegen::Options options;
  options.target = "cuda";
  auto compiled = codegen::compile(kernels, options);
  if (failed(compiled))
    abort();
  code = compiled->bytes;
  std::vector<CodeModule> modules{{"ptx", std::as_bytes(std::span(code))}};
  std::vector<CodeKernel> list;
  for (auto [kernel, made] : llvm::zip_equal(kernels, compiled->kernels)) {
    std::string name = kernel.getSymName().str();
    numbers[name] = list.size();
    list.push_back({.name = name,
                    .symbol = made.symbol,
                    .programs = kernel.getPrograms(),
                    .scratchBytes = static_cast<uint64_t>(made.scratchBytes),
                    .threads = static_cast<uint32_t>(made.threads)});
  }
  device = std::move(*EmuDevice::create(schedule, "all"));
  if (auto loaded = device->load(modules, list, "test"); !loaded)
    ADD_FAILURE() << loaded.error().message;
}

void Emulated::run(const std::string &name, const std::vector<void *> &buffers,
                   const std::vector<size_t> &sizes) {
  std::vector<DeviceMemory> memories;
  std::vector<void *> places;
  std::vector<uint64_t> limits(sizes.begin(), sizes.end());
  for (auto [data, size] : llvm::zip_equal(buffers, sizes)) {
    memories.push_back(*device->allocate(size));
    std::memcpy(memories.back().data, data, size);
    places.push_back(memories.back().data);
  }
  device->limitBuffers(limits);
  if (auto done = device->launch(numbers.at(name), places, {}); !done)
    ADD_FAILURE() << done.error().message;
  for (auto [data, size, memory] : llvm::zip_equal(buffers, sizes, memories))
    std::memcpy(data, memory.data, size);
}
