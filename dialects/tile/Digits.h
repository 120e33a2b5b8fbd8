//===- Digits.h - Layout algebra of register tiles ------------------------===//
//
// A layout says which register of which lane of which warp holds an element of
// a tile. Each of the three levels is a list of mixed-radix digits, innermost
// first: digit `8 d0:16` counts to 8 and each step moves 16 along axis 0. A
// digit without an axis is a replica: its steps see the same element.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace bitbyte::tile {

/// One mixed-radix digit of a level.
struct Digit {
  int64_t extent; ///< how far it counts
  int64_t axis;   ///< the tile's axis along which it moves; -1: a replica
  int64_t stride; ///< elements along `axis` per step; 0 for a replica

  bool operator==(const Digit &) const = default;
};

/// One coordinate per axis of a tile.
using Coordinate = llvm::SmallVector<int64_t, 4>;

/// A distribution of a tile of `rank` axes over registers, lanes and warps.
struct Distribution {
  llvm::SmallVector<Digit, 4> reg, lane, warp;
  unsigned rank = 0;

  /// Values that a level counts through.
  static int64_t size(llvm::ArrayRef<Digit> level);
  int64_t registers() const { return size(reg); }
  int64_t lanes() const { return size(lane); }
  int64_t warps() const { return size(warp); }

  /// The contribution of value `index` of a level to an element's coordinate.
  Coordinate coordinate(llvm::ArrayRef<Digit> level, int64_t index) const;
  Coordinate registerCoordinate(int64_t index) const {
    return coordinate(reg, index);
  }
  Coordinate laneCoordinate(int64_t index) const {
    return coordinate(lane, index);
  }

  /// The register that contributes `coordinate`, or -1.
  int64_t find(llvm::ArrayRef<int64_t> coordinate) const;

  /// The layout of a tile without `axis`: its lanes and warps become replicas,
  /// of which neighbours join, its registers vanish.
  Distribution drop(unsigned axis) const;

  /// Whether every element of a tile of `shape` is owned exactly once, but for
  /// replicas.
  bool covers(llvm::ArrayRef<int64_t> shape) const;

  /// Whether neighbouring lanes hold neighbouring elements of `axis`, each
  /// once.
  bool lanesAreRowOf(unsigned axis) const;

  /// Whether all lanes hold the same element.
  bool lanesAreReplicas() const;

  /// A level as digits of extent 2; every extent must be a power of two.
  static llvm::SmallVector<Digit, 8> bits(llvm::ArrayRef<Digit> level);
};

} // namespace bitbyte::tile
