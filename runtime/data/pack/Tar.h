//===- Tar.h - The files of a tar archive, as a stream --------------------===//
#pragma once

#include "runtime/data/pack/ByteSource.h"

#include <functional>

namespace bitbyte {

inline constexpr size_t tarBlockBytes = 512;

/// Whether a block is a tar header: its checksum field holds its sum.
bool isTarHeader(std::string_view block);

/// Calls `visit` with each regular file, in the archive's order. An archive
/// that ends early, also between two members, is BadInput.
Result<void> readTar(ByteSource &source,
                     const std::function<Result<void>(ByteSource &)> &visit);

} // namespace bitbyte
