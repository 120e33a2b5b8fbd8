//===- ArtifactBuilder.h - Writes artifacts without the compiler ----------===//
#pragma once

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/bitbyte_generated.h"

namespace bitbyte::test {

/// The tables of a toy model (TestKernels.c) with every kind of state and step.
/// A test changes them at will before it encodes them. `target` is its only
/// variant.
fb::ArtifactT toyArtifact(const std::string &target = "cpu-v3");

/// The whole file: header, table, the toy's machine code and constants (64
/// floats, 0 to 63) for each variant.
std::vector<std::byte> encode(const fb::ArtifactT &artifact);

/// Makes both hashes of a file fit its bytes again.
void rehash(std::vector<std::byte> &file);

/// Writes `encode(artifact)`; throws if it cannot.
void write(const std::string &path, const fb::ArtifactT &artifact);

fb::Buffer place(fb::Space space, uint64_t offset, uint64_t bytes);
/// The same place, elsewhere in its space.
fb::Buffer at(const fb::Buffer &buffer, uint64_t offset);

} // namespace bitbyte::test
