//===- Stub.h - Tests on the stub driver ----------------------------------===//
#pragma once

#include "runtime/device/cuda/CudaDevice.h"
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/core/TemporaryFolder.h"
#include "test/runtime/device/cuda/StubDriver.h"

#include <cstdlib>
#include <dlfcn.h>
#include <gmock/gmock.h>

namespace bitbyte::test {

/// The stub in place of a driver, and an artifact for it.
struct StubTest : testing::Test {
  void SetUp() override {
    void *library = dlopen(BB_STUB_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    reset = reinterpret_cast<StubReset>(dlsym(library, "bbStubReset"));
    read = reinterpret_cast<StubRead>(dlsym(library, "bbStubState"));
    ASSERT_TRUE(reset && read);
    setenv("BB_CUDA_DRIVER", BB_STUB_DRIVER, 1);
    reset({});
    write(folder / "toy.bba", toyArtifact("cuda"));
    auto opened = Artifact::open(folder / "toy.bba");
    ASSERT_TRUE(opened) << opened.error().message;
    artifact = *opened;
  }
  void TearDown() override {
    EXPECT_EQ(state().misuse, "");
    EXPECT_EQ(state().alive, 0);
    unsetenv("BB_CUDA_DRIVER");
  }
  const StubState &state() { return *read(); }

  TemporaryFolder folder;
  std::shared_ptr<const Artifact> artifact;
  StubReset reset = nullptr;
  StubRead read = nullptr;
};

} // namespace bitbyte::test
