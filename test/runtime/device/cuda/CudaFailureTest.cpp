// Every call of the driver fails once, in every way of interest; kernels hang.
#include "runtime/engine/TrainStep.h"
#include "test/runtime/device/cuda/Stub.h"

using namespace bitbyte;
using testing::AllOf;
using testing::HasSubstr;

namespace {

const std::vector<uint8_t> bytes = {0, 0, 2, 3, 4, 5, 6, 7,
                                    9, 8, 7, 6, 5, 4, 3, 2};
const std::vector<uint8_t> next = {64, 128, 3, 4, 5, 6, 7, 8,
                                   8,  7,   6, 5, 4, 3, 2, 1};

struct CudaFailureTest : test::StubTest {
  Result<std::unique_ptr<Engine>> make(const EngineOptions &options = {
                                           .device = "cuda"}) {
    return Engine::create(artifact, options);
  }
  /// Two micro-batches and an update.
  Result<StepResult> step(Engine &engine, int64_t number) {
    return runStep(engine,
                   {.micro = engine.program("micro"),
                    .bytes = bytes,
                    .next = next,
                    .micros = 2},
                   {}, number);
  }
  /// Everything that an engine does, in small; gives what was learnt.
  Result<std::vector<float>> everything() {
    BB_ASSIGN(auto engine, make());
    const Program *programs[] = {engine->program("micro"),
                                 engine->program("update")};
    BB_TRY(engine->reserve(programs));
    std::vector<float> w(256, 0.5f);
    BB_TRY(engine->writeState("w", std::as_bytes(std::span(w))));
    BB_TRY(engine->prepare());
    BB_TRY(engine->zeroStates(StateKind::moment));
    for (int64_t i = 1; i <= 5; ++i) // plain, recorded twice, replayed twice
      BB_TRY(step(*engine, i));
    engine->collectStepTimes(true);
    BB_TRY(engine->run(*engine->program("doubled"), {}, {}));
    BB_TRY(engine->limits());
    BB_TRY(engine->readState("w", std::as_writable_bytes(std::span(w))));
    return w;
  }
};

/// Bytes of a GPU on which measuring takes no time.
constexpr uint64_t small = uint64_t(1) << 20;

/// What only gives back can fail unseen: its object is gone all the same.
bool mayFailUnseen(const std::string &function) {
  return function == "cuCtxSetCurrent" || function == "cuMemFreeHost" ||
         function == "cuMemFree_v2" || function == "cuModuleUnload" ||
         function == "cuDevicePrimaryCtxRelease_v2" ||
         function.find("Destroy") != std::string::npos;
}

} // namespace

TEST_F(CudaFailureTest, LearnsWhatTheCpuLearns) {
  auto learnt = everything();
  ASSERT_TRUE(learnt) << learnt.error().message;

  test::write(folder / "cpu.bba", test::toyArtifact());
  auto opened = Artifact::open(folder / "cpu.bba");
  ASSERT_TRUE(opened);
  auto cpu = Engine::create(*opened, {.device = "cpu", .threads = 1});
  ASSERT_TRUE(cpu);
  std::vector<float> w(256, 0.5f);
  ASSERT_TRUE((*cpu)->writeState("w", std::as_bytes(std::span(w))));
  for (int64_t i = 1; i <= 5; ++i)
    ASSERT_TRUE(step(**cpu, i));
  ASSERT_TRUE((*cpu)->readState("w", std::as_writable_bytes(std::span(w))));
  EXPECT_EQ(*learnt, w);
}

TEST_F(CudaFailureTest, AStepIsOneLaunchThatAllocatesNothing) {
  auto engine = make();
  ASSERT_TRUE(engine) << engine.error().message;
  ASSERT_TRUE(step(**engine, 1));
  ASSERT_TRUE(step(**engine, 2)); // recorded, for each of two places
  ASSERT_TRUE(step(**engine, 3));
  test::StubState before = state();
  for (int64_t i = 4; i < 14; ++i)
    ASSERT_TRUE(step(**engine, i));
  EXPECT_EQ(state().graphs - before.graphs, 10);
  EXPECT_EQ(state().launches, before.launches);
  EXPECT_EQ(state().allocations, before.allocations);
  EXPECT_EQ(state().waits - before.waits, 10); // one at the end of each
  EXPECT_EQ(state().calls - before.calls, 20); // the launch, and that wait

  // A larger arena moves: what was recorded is recorded anew.
  ASSERT_TRUE((*engine)->run(*(*engine)->program("numbers"), {}, {}));
  auto again = step(**engine, 14);
  ASSERT_TRUE(again) << again.error().message;
}

TEST_F(CudaFailureTest, TakesTheNextInputsMeanwhile) {
  auto engine = make();
  ASSERT_TRUE(engine);
  // What is staged differs from what is given later, so that it shows which of
  // them the device has read.
  std::vector<uint8_t> ahead(bytes.size(), 5);
  StepBatch now{.micro = (*engine)->program("micro"),
                .bytes = bytes,
                .next = next,
                .micros = 2};
  StepBatch coming = now;
  coming.next = ahead;
  auto stage = [&] { return stageBatch(**engine, coming); };
  StepNumbers still; // steps that change nothing
  still.lr = 0;
  std::vector<double> losses;
  auto step = [&](bool staged) {
    now.staged = staged;
    auto result = runStep(**engine, now, still, 1, stage);
    ASSERT_TRUE(result) << result.error().message;
    losses.push_back(result->loss);
  };
  step(false); // kernel by kernel
  step(true);  // nothing was staged: there was no place yet
  step(true);  // the same for the second place
  EXPECT_EQ(losses[1], losses[0]);
  EXPECT_EQ(losses[2], losses[0]);
  step(true); // staged
  EXPECT_NE(losses[3], losses[0]);
  step(false); // staged, but that is not wanted
  EXPECT_EQ(losses[4], losses[0]);
  step(true);
  EXPECT_EQ(losses[5], losses[3]);

  coming.bytes = coming.next = std::span(ahead).first(8);
  auto refused = stageBatch(**engine, coming);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("input 'bytes' of program"));
}

TEST_F(CudaFailureTest, WorksMeanwhile) {
  auto engine = make();
  ASSERT_TRUE(engine);
  int calls = 0;
  auto meanwhile = [&]() -> Result<void> {
    ++calls;
    return fail(ErrorKind::Usage, "not now");
  };
  for (int64_t i = 1; i < 4; ++i) {
    auto result = runStep(**engine,
                          {.micro = (*engine)->program("micro"),
                           .bytes = bytes,
                           .next = next,
                           .micros = 2},
                          {}, i, meanwhile);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "not now");
    EXPECT_EQ(calls, i);
  }
}

TEST_F(CudaFailureTest, EveryCallInEveryWay) {
  reset({.memory = small});
  ASSERT_TRUE(everything());
  int64_t calls = state().calls;
  ASSERT_GT(calls, 100);
  // Out of memory, not found, illegal address, time out, launch failure,
  // damaged memory, PTX too new, an unknown number.
  for (int code : {2, 500, 700, 702, 719, 214, 222, 12345})
    for (int64_t n = 0; n < calls; ++n) {
      reset({.memory = small, .failAt = n, .code = code});
      auto result = everything();
      std::string failed = state().failed;
      SCOPED_TRACE(testing::Message() << failed << ", call " << n << " of "
                                      << calls << ", code " << code);
      ASSERT_NE(failed, "");
      ASSERT_EQ(state().misuse, "");
      ASSERT_EQ(state().alive, 0);
      if (result) {
        ASSERT_TRUE(mayFailUnseen(failed));
        continue;
      }
      ASSERT_GT(result.error().message.size(), 20u);
      int exit = int(result.error().kind);
      ASSERT_TRUE(exit == 1 || exit == 3 || exit == 4) << exit;
    }
  reset({});
}

TEST_F(CudaFailureTest, NamesTheKernel) {
  // The first run of programs waits after each kernel, so each is found.
  std::vector<std::string> messages;
  for (int64_t n = 0; n < 8; ++n) {
    reset({.failAt = n, .failIn = "cuStreamQuery", .code = 700});
    auto engine = make();
    auto result = engine ? step(**engine, 1) : Result<StepResult>();
    if (!result) {
      EXPECT_EQ(result.error().kind, ErrorKind::Failed);
      messages.push_back(result.error().message);
    }
  }
  for (std::string name : {"micro", "update"})
    EXPECT_THAT(
        messages,
        testing::Contains("kernel '" + name +
                          "': a kernel touched memory that is not allocated "
                          "(CUDA_ERROR_ILLEGAL_ADDRESS)"));
}

TEST_F(CudaFailureTest, NamesThePrograms) {
  auto engine = make();
  ASSERT_TRUE(engine);
  for (int64_t i = 1; i < 4; ++i)
    ASSERT_TRUE(step(**engine, i));
  int64_t calls = state().calls;
  engine->reset();
  reset({.failAt = calls + 1, .code = 700}); // the wait for the fourth step
  engine = make();
  ASSERT_TRUE(engine);
  for (int64_t i = 1; i < 4; ++i)
    ASSERT_TRUE(step(**engine, i));
  auto result = step(**engine, 4);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message,
              HasSubstr("the GPU, running 'micro', 'update' (--device-sync "
                        "finds the kernel)"));
}

TEST_F(CudaFailureTest, GivesUpOnAKernelThatHangs) {
  {
    reset({.hangsAt = 2});
    auto engine = make({.device = "cuda", .patience = 0.02});
    ASSERT_TRUE(engine);
    auto result = step(**engine, 1);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::Failed);
    EXPECT_THAT(result.error().message,
                AllOf(HasSubstr("kernel 'micro': not done after 0.0 s"),
                      HasSubstr("--device-patience")));
  }
  EXPECT_GT(state().alive, 0); // freeing would wait for the kernel
  reset({});
}

TEST_F(CudaFailureTest, IsTakenWhereThereIsCodeForIt) {
  auto engine = make({.device = "auto"});
  ASSERT_TRUE(engine) << engine.error().message;
  EXPECT_EQ((*engine)->describe(),
            "cuda, Stub GPU, sm_90, driver for CUDA 12.4");
  engine->reset();
  reset({.devices = 0});
  auto none = make({.device = "auto"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::NoDevice);
  EXPECT_THAT(none.error().message,
              AllOf(HasSubstr("has code for cuda, but this machine"),
                    HasSubstr("for cuda, the NVIDIA driver does not start: the "
                              "driver sees no GPU")));
}
