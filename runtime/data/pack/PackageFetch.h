//===- PackageFetch.h - Debian packages, downloaded and unpacked ----------===//
#pragma once

#include "runtime/core/Error.h"

#include <functional>
#include <string>

namespace bitbyte {

struct FetchedPackage {
  std::string file;    ///< The .deb in the cache.
  std::string version; ///< What was got; not the pinned one if that is gone.
};

/// Told what is being done, one line each.
using Notice = std::function<void(const std::string &)>;

/// Finds the package in the cache, or downloads it there with `apt-get
/// download`: the pinned version, else the one that the archive has now.
Result<FetchedPackage> fetchPackage(const std::string &name,
                                    const std::string &version,
                                    const std::string &cache,
                                    const Notice &notice);

/// Unpacks a .deb below `directory` (`dpkg-deb -x`). BadInput if it is damaged.
Result<void> unpackPackage(const std::string &file,
                           const std::string &directory);

} // namespace bitbyte
