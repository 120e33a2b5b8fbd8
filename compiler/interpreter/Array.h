//===- Array.h - A tensor of doubles --------------------------------------===//
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <vector>

namespace bitbyte::bb {

using Shape = llvm::SmallVector<int64_t, 4>;

inline int64_t elementCount(llvm::ArrayRef<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// Row-major numbers of a shape. Whatever the element type in the graph, an
/// element is a double here: integers and truth values (0, 1) included.
struct Array {
  Shape shape;
  std::vector<double> data;

  Array() = default;
  explicit Array(llvm::ArrayRef<int64_t> shape, double value = 0)
      : shape(shape), data(elementCount(shape), value) {}
  Array(llvm::ArrayRef<int64_t> shape, std::vector<double> data)
      : shape(shape), data(std::move(data)) {}

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const { return static_cast<int64_t>(data.size()); }
  /// Size of an axis; negative axes count from the end.
  int64_t dim(int64_t axis) const {
    return shape[axis < 0 ? axis + rank() : axis];
  }
  /// All elements but those of the last axis.
  int64_t rows() const { return rank() && dim(-1) ? size() / dim(-1) : size(); }

  double &operator[](int64_t i) { return data[i]; }
  double operator[](int64_t i) const { return data[i]; }

  template <typename... Index>
  double &at(Index... index) {
    return data[offset({static_cast<int64_t>(index)...})];
  }
  template <typename... Index>
  double at(Index... index) const {
    return data[offset({static_cast<int64_t>(index)...})];
  }

private:
  int64_t offset(std::initializer_list<int64_t> index) const {
    int64_t at = 0, axis = 0;
    for (int64_t i : index)
      at = at * shape[axis++] + i;
    return at;
  }
};

/// Walks every index of `shape` in row-major order, with the offset that each
/// list of strides gives it: `visit(index, offsets)`.
template <unsigned Count, typename Visit>
void forIndices(llvm::ArrayRef<int64_t> shape,
                const std::array<llvm::ArrayRef<int64_t>, Count> &strides,
                Visit visit) {
  int64_t total = elementCount(shape);
  Shape index(shape.size(), 0);
  std::array<int64_t, Count> offsets = {};
  for (int64_t i = 0; i < total; ++i) {
    visit(offsets);
    for (int64_t axis = shape.size() - 1; axis >= 0; --axis) {
      ++index[axis];
      for (unsigned k = 0; k < Count; ++k)
        offsets[k] += strides[k][axis];
      if (index[axis] < shape[axis])
        break;
      for (unsigned k = 0; k < Count; ++k)
        offsets[k] -= strides[k][axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

/// Row-major strides.
inline Shape stridesOf(llvm::ArrayRef<int64_t> shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (int64_t axis = shape.size() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

/// Strides that read an array of shape `from` as if it had been broadcast to
/// `to`: aligned at the right, 0 along stretched axes.
inline Shape broadcastStrides(llvm::ArrayRef<int64_t> from,
                              llvm::ArrayRef<int64_t> to) {
  Shape own = stridesOf(from), strides(to.size(), 0);
  for (size_t i = 1; i <= from.size(); ++i)
    if (from[from.size() - i] != 1)
      strides[to.size() - i] = own[from.size() - i];
  return strides;
}

} // namespace bitbyte::bb
