#include "test/runtime/device/cuda/Stub.h"

#include <cstring>

using namespace bitbyte;
using testing::AllOf;
using testing::HasSubstr;

namespace {

struct CudaDeviceTest : test::StubTest {
  std::unique_ptr<CudaDevice> make() {
    auto device = CudaDevice::create();
    EXPECT_TRUE(device) << device.error().message;
    return std::move(*device);
  }
  Error refusal() {
    auto device = CudaDevice::create();
    EXPECT_FALSE(device);
    return device ? Error{} : device.error();
  }
  /// One kernel of the toy's module, with what a test changes.
  CodeKernel kernel() {
    CodeKernel kernel;
    kernel.name = "number";
    kernel.symbol = "toy_number";
    kernel.programs = 1000;
    kernel.scratchBytes = 64;
    kernel.threads = 64;
    return kernel;
  }
  Result<void> load(CudaDevice &device, const CodeKernel &kernel) {
    const Module &module = artifact->variants[0].modules[0];
    return loadCode(device, {{module.format, module.code}}, kernel);
  }
  Result<void> loadCode(CudaDevice &device, std::vector<CodeModule> modules,
                        const CodeKernel &kernel) {
    return device.load(modules, {&kernel, 1}, "toy.bba");
  }
};

std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A header that says which architecture this is for, and what the stub takes
/// for code.
std::string cubin(int arch, int abi, const std::string &ptx) {
  std::string header(64, '\0');
  std::memcpy(header.data(),
              "\x7f"
              "ELF\2\1",
              6);
  header[8] = char(abi);
  header[18] = char(190);
  header[abi >= 8 ? 49 : 48] = char(arch);
  return header + ptx + '\0';
}

constexpr const char *numberPtx =
    ".version 8.0\n.visible .entry toy_number(.param .u64 a, .param .u64 b) {}";

} // namespace

TEST_F(CudaDeviceTest, SaysWhatItIs) {
  auto device = make();
  EXPECT_EQ(device->describe(), "Stub GPU, sm_90, driver for CUDA 12.4");
  EXPECT_EQ(device->targets(), std::vector<std::string>{"cuda"});
  EXPECT_EQ(device->room().bytes, uint64_t(1) << 30);
  auto report = cudaReport();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->version, "12.4");
  ASSERT_EQ(report->gpus.size(), 1u);
  EXPECT_EQ(report->gpus[0].arch, 90);
}

TEST_F(CudaDeviceTest, OneSentenceWhereThereIsNone) {
  setenv("BB_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1);
  EXPECT_EQ(refusal().kind, ErrorKind::NoDevice);
  EXPECT_THAT(refusal().message,
              HasSubstr("no NVIDIA driver on this machine: /nowhere/libcuda"));
  setenv("BB_CUDA_DRIVER", BB_TEST_LIBRARY, 1);
  EXPECT_THAT(refusal().message, HasSubstr("lacks 'cuDriverGetVersion'"));
  setenv("BB_CUDA_DRIVER", BB_STUB_DRIVER, 1);

  reset({.version = 11080});
  EXPECT_EQ(refusal().kind, ErrorKind::NoDevice);
  EXPECT_THAT(
      refusal().message,
      HasSubstr("too old: it is for CUDA 11.8, needed is one for 12.0"));
  reset({.devices = 0});
  EXPECT_EQ(refusal().kind, ErrorKind::NoDevice);
  EXPECT_THAT(refusal().message, HasSubstr("the driver sees no GPU"));
  reset({.arch = 75});
  EXPECT_EQ(refusal().kind, ErrorKind::NoDevice);
  EXPECT_THAT(
      refusal().message,
      HasSubstr("'Stub GPU' has compute capability 7.5, needed is 8.0"));
  auto report = cudaReport();
  ASSERT_TRUE(report);
  EXPECT_THAT(report->gpus[0].trouble, HasSubstr("capability 7.5"));
}

TEST_F(CudaDeviceTest, MemoryIsZeroedAndMovesInPieces) {
  auto device = make();
  constexpr uint64_t bytes = (9u << 20) + 123;
  auto a = device->allocate(bytes), b = device->allocate(bytes);
  ASSERT_TRUE(a && b);
  std::vector<std::byte> back(bytes, std::byte(1));
  ASSERT_TRUE(device->download(back, a->data));
  EXPECT_EQ(back, std::vector<std::byte>(bytes));
  std::vector<std::byte> values(bytes);
  for (size_t i = 0; i < bytes; ++i)
    values[i] = std::byte(i * 31 >> 4);
  ASSERT_TRUE(device->upload(a->data, values));
  ASSERT_TRUE(device->copy(b->data, a->data, bytes));
  ASSERT_TRUE(device->download(back, b->data));
  EXPECT_EQ(back, values);

  auto absurd = device->allocate(uint64_t(3) << 30);
  ASSERT_FALSE(absurd);
  EXPECT_EQ(absurd.error().kind, ErrorKind::NoDevice);
  EXPECT_THAT(absurd.error().message,
              AllOf(HasSubstr("cannot allocate 3.00 GiB on 'Stub GPU': 1006.0 "
                              "MiB of 1.00 GiB are free"),
                    HasSubstr("CUDA_ERROR_OUT_OF_MEMORY")));
  auto none = device->allocate(0);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->data, nullptr);
}

TEST_F(CudaDeviceTest, LaunchesWithPointersAndNumbers) {
  auto device = make();
  ASSERT_TRUE(load(*device, kernel()));
  auto memory = device->allocate(8000);
  ASSERT_TRUE(memory);
  void *buffers[] = {memory->data};
  int64_t scalars[] = {7};
  ASSERT_TRUE(device->launch(0, buffers, scalars));
  std::vector<int64_t> numbers(1000);
  ASSERT_TRUE(device->download(std::as_writable_bytes(std::span(numbers)),
                               memory->data));
  for (int64_t i = 0; i < 1000; ++i)
    ASSERT_EQ(numbers[size_t(i)], i * 7 + 1);

  auto wrong = device->launch(0, buffers, {});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message,
              HasSubstr("takes 2 parameters, and is given 1 buffers and 0"));
}

TEST_F(CudaDeviceTest, RefusesCodeThatCannotRun) {
  auto device = make();
  auto message = [&](auto change) {
    CodeKernel changed = kernel();
    change(changed);
    auto result = load(*device, changed);
    return result ? "did not fail" : result.error().message;
  };
  EXPECT_THAT(message([](CodeKernel &k) { k.symbol = "toy_missing"; }),
              HasSubstr("'number' has no symbol 'toy_missing' in its code"));
  EXPECT_THAT(message([](CodeKernel &k) { k.threads = 0; }),
              HasSubstr("does not say how many threads"));
  EXPECT_THAT(message([](CodeKernel &k) { k.threads = 1024; }),
              HasSubstr("blocks of 1024 threads, but 'Stub GPU' runs it with "
                        "512 at most"));
  EXPECT_THAT(message([](CodeKernel &k) { k.scratchBytes = 300'000; }),
              HasSubstr("needs 293.0 KiB of shared memory, a block on 'Stub "
                        "GPU' has 227.0 KiB at most"));
  EXPECT_THAT(message([](CodeKernel &k) { k.programs = uint64_t(1) << 31; }),
              HasSubstr("has 2147483648 programs"));

  auto damaged = loadCode(*device, {{"ptx", bytesOf("nonsense")}}, kernel());
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().kind, ErrorKind::BadInput);
  EXPECT_THAT(damaged.error().message,
              AllOf(HasSubstr("toy.bba: module 0"),
                    HasSubstr("refuses the PTX"),
                    HasSubstr("line 1; fatal   : Missing .version directive")));
  auto elf = loadCode(*device,
                      {{"elf", bytesOf("\x7f"
                                       "ELF")}},
                      kernel());
  ASSERT_FALSE(elf);
  EXPECT_THAT(elf.error().message, HasSubstr("module 0 is elf"));
}

TEST_F(CudaDeviceTest, CubinsStandInForTheirPtx) {
  auto device = make();
  std::string fits = cubin(90, 8, numberPtx),
              before13 = cubin(90, 7, numberPtx),
              other = cubin(80, 8, numberPtx);
  CodeModule broken{"ptx", bytesOf("nonsense")},
      whole{"ptx", bytesOf(numberPtx)};
  auto as = [](const std::string &code) {
    return CodeModule{"cubin", bytesOf(code)};
  };
  // That the PTX is not looked at shows where it would not load.
  EXPECT_TRUE(loadCode(*device, {broken, as(other), as(fits)}, kernel()));
  EXPECT_TRUE(loadCode(*device, {broken, as(before13)}, kernel()));
  EXPECT_FALSE(loadCode(*device, {broken, as(other)}, kernel()));
  // Those behind the next PTX are its own.
  EXPECT_FALSE(loadCode(*device, {broken, whole, as(fits)}, kernel()));
  EXPECT_TRUE(loadCode(*device, {as(fits)}, kernel()));
  auto alone = loadCode(*device, {as(other)}, kernel());
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().kind, ErrorKind::NoDevice);

  device = nullptr;
  reset({.oldCubins = true});
  device = make();
  EXPECT_TRUE(loadCode(*device, {whole, as(fits)}, kernel()));
  EXPECT_FALSE(loadCode(*device, {as(fits)}, kernel()));
}

TEST(CudaCode, IsLookedInto) {
  EXPECT_EQ(cuda::cubinArch(bytesOf(cubin(120, 8, ""))), 120);
  EXPECT_EQ(cuda::cubinArch(bytesOf(cubin(80, 7, ""))), 80);
  EXPECT_EQ(cuda::cubinArch(bytesOf("\x7f"
                                    "ELF")),
            std::nullopt);
  constexpr const char *ptx =
      ".version 8.3\n.target sm_80\n"
      ".visible .entry one (\n\t.param .u64 .ptr .align "
      "16 one_0,\n\t.param .u64 one_1\n)\n{ret;}\n"
      ".entry one_more() {ret;}\n.entry bare {ret;}";
  EXPECT_EQ(cuda::countParameters(ptx, "one"), 2u);
  EXPECT_EQ(cuda::countParameters(ptx, "one_more"), 0u);
  EXPECT_EQ(cuda::countParameters(ptx, "bare"), 0u);
  EXPECT_EQ(cuda::countParameters(ptx, "on"), std::nullopt);
  EXPECT_EQ(cuda::ptxVersion(ptx), "8.3");
  EXPECT_EQ(cuda::ptxVersion("nonsense"), "");
}

TEST_F(CudaDeviceTest, RecordsAndReplays) {
  auto device = make();
  ASSERT_TRUE(load(*device, kernel()));
  auto memory = device->allocate(8000);
  auto host = device->hostMemory(8000);
  ASSERT_TRUE(memory && host);
  void *buffers[] = {memory->data};
  int64_t scalars[] = {3};
  std::span<std::byte> all(host->data, 8000);
  ASSERT_TRUE(device->beginRecording("'numbers'"));
  ASSERT_TRUE(device->launch(0, buffers, scalars));
  ASSERT_TRUE(device->download(all, memory->data));
  auto recording = device->endRecording();
  ASSERT_TRUE(recording) << recording.error().message;
  EXPECT_EQ(state().launches, 0);
  for (int turn = 0; turn < 2; ++turn) {
    std::memset(host->data, 1, 8000);
    ASSERT_TRUE(device->zero(memory->data, 8000));
    ASSERT_TRUE(device->replay(**recording));
    ASSERT_TRUE(device->finish());
    auto *numbers = reinterpret_cast<const int64_t *>(host->data);
    for (int64_t i = 0; i < 1000; ++i)
      ASSERT_EQ(numbers[i], 3 * i + 1);
  }
  EXPECT_EQ(state().graphs, 2);
}

TEST_F(CudaDeviceTest, TakesTimes) {
  auto device = make();
  ASSERT_TRUE(device->mark(0));
  ASSERT_TRUE(device->mark(1));
  ASSERT_TRUE(device->finish());
  auto seconds = device->secondsBetween(0, 1);
  ASSERT_TRUE(seconds);
  EXPECT_NEAR(*seconds, 1e-3, 1e-9); // the stub's clock
  auto limits = device->limits("cuda", "bf16");
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_DOUBLE_EQ(limits->flops, 4096.0 * 132 * 1.5e9);
  EXPECT_GT(limits->bandwidth, 0);
}
