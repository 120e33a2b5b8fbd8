//===- WriteToy.cpp - The toy artifact as a file, for tests of commands ---===//
#include "test/runtime/ArtifactBuilder.h"

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3)
    return 2;
  bitbyte::test::write(
      argv[1], bitbyte::test::toyArtifact(argc == 3 ? argv[2] : "cpu-v3"));
}
