//===- SsdKernels.h - The kernels that SSD takes on a GPU -----------------===//
//
// With cs the running sum of dt a inside a chunk, S the state before it and G
// the gradient of the state behind it, forward and all gradients are made of
// the same few kernels: what a chunk adds to the state, the states from one
// chunk to the next, and rows of
//   out_r = s_r (sum over c of (left_r . right_c) D_rc w_c value_c
//                + f_r left_r state)
// with the decay D between r and c, for c up to r or from r on. Products run on
// tensor cores, all chunks and heads at once but for the states.
//
//===----------------------------------------------------------------------===//
#pragma once

#include "passes/tile/gpu/ScanTiles.h"

namespace bitbyte::tile {

struct GpuSsdSizes {
  int64_t batch, length, heads, width, groups, states; ///< B T H P G N
  int64_t items;   ///< Q, of a chunk of the kernels
  int64_t perSave; ///< such chunks to a chunk of the op
  int64_t chunks() const { return llvm::divideCeil(length, items); }
  int64_t headsPerGroup() const { return heads / groups; }
  int64_t programs() const { return batch * chunks() * heads; }
};

class GpuSsd {
public:
  GpuSsd(ScheduleContext &context, mlir::Operation *op, mlir::Value x,
         mlir::Value b, bb::DimAttr chunk);

  /// dt [B, T, H] by heads and cs, both f32 [B, H, T].
  void makeSums(mlir::Value dt, mlir::Value a);

  /// What each chunk adds, f32 [B, chunks, H, N, P]: the sum over its items of
  /// rows [B, T, G, N] times columns [B, T, H, P] times a number: forward
  /// exp(cs_Q - cs) dt, backwards exp(cs).
  mlir::Value chunkStates(mlir::Value rows, mlir::Value columns,
                          bool backwards);

  struct Carried {
    mlir::Value states; ///< before each chunk; backwards behind it
    mlir::Value saved;  ///< before each chunk of the op, if asked
    mlir::Value last;   ///< after the last chunk, if `from` was given
    mlir::Value dots;   ///< [B, chunks, H]: with the states of the next chunk
  };
  /// Sums `added` along the chunks. `dotWith`: backwards, the states of
  /// forward, for <S of the next chunk, G>.
  Carried carry(mlir::Value added, mlir::Value from, bool save,
                mlir::Value dotWith = {});

  struct Rows {
    mlir::Value left, right, value; ///< [B, T, H or G, width]
    mlir::Value state;              ///< [B, chunks, H, N, P]
    bool turned;    ///< left and right are [.., P], so that the state is S^T
    bool backwards; ///< c from r on
    bool weighted;  ///< w_c = dt_c, else 1
    bool scaled;    ///< s_r = dt_r, else 1
    mlir::Value dotWith; ///< may be null; [B, T, H or G, as value]
    bool dotScaled;      ///< dots of s_r out_r, else of out_r
    bb::GraphTensorType result;
    bool isPart; ///< the result is [heads of a group, B, T, G, ..]
  };
  /// The rows, and if asked f32 [B, H, T]: dots of each one.
  Values rows(const Rows &r);

  const GpuSsdSizes &sizes() const { return s; }
  mlir::Value steps, sums; ///< of makeSums

private:
  ScheduleContext &context;
  mlir::Operation *op;
  GpuSsdSizes s;
};

} // namespace bitbyte::tile
