//===- Harness.cpp - Compiles kernels from text and runs them here --------===//
#include "test/compiler/codegen/Harness.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <bit>
#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>

using namespace mlir;

namespace bitbyte::codegen {

static void *loadFromMemory(const std::vector<char> &bytes) {
  int file = memfd_create("kernels", 0);
  size_t done = 0;
  while (done < bytes.size())
    done += write(file, bytes.data() + done, bytes.size() - done);
  std::string path = "/proc/self/fd/" + std::to_string(file);
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  return handle;
}

Loaded::Loaded(const std::string &text, std::string target) {
  MLIRContext context;
  context.loadDialect<tile::TileDialect, arith::ArithDialect, math::MathDialect,
                      scf::SCFDialect>();
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    abort();
  std::vector<tile::KernelOp> kernels;
  for (auto kernel : module->getOps<tile::KernelOp>())
    kernels.push_back(kernel);
  Options options;
  options.target = target;
  auto compiled = compile(kernels, options);
  if (failed(compiled))
    abort();
  library = std::move(*compiled);
  handle = loadFromMemory(library.bytes);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  for (auto [kernel, made] : llvm::zip_equal(kernels, library.kernels))
    entries[kernel.getSymName().str()] = {
        reinterpret_cast<Function>(dlsym(handle, made.symbol.c_str())),
        static_cast<int64_t>(kernel.getPrograms()), made.scratchBytes};
}

Loaded::~Loaded() {
  if (handle)
    dlclose(handle);
}

void Loaded::run(const std::string &name, std::vector<void *> buffers) {
  const Entry &entry = entries.at(name);
  void *scratch = aligned_alloc(64, (entry.scratchBytes + 127) / 64 * 64);
  unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040); // subnormals count as zero, as in the runtime
  entry.function(buffers.data(), nullptr, scratch, 0, entry.programs / 2);
  entry.function(buffers.data(), nullptr, scratch, entry.programs / 2,
                 entry.programs);
  _mm_setcsr(before);
  free(scratch);
}

int64_t Loaded::scratchBytes(const std::string &name) const {
  return entries.at(name).scratchBytes;
}

bool canRun(const std::string &target) {
  std::string host = hostTarget();
  if (host.empty())
    return false;
  return target == "cpu-v3" || target == host ||
         (target == "cpu-v4" && host == "cpu-v4bf16");
}

std::vector<float> noise(size_t count, unsigned seed) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 31)) * 0x94d049bb133111ebu;
    x ^= x >> 29;
    values[i] = static_cast<float>(x >> 40) / (1 << 23) - 1.0f;
  }
  return values;
}

uint16_t toBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

float fromBf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

} // namespace bitbyte::codegen
