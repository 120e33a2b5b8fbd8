//===- ScanTiles.h - What the schedules of scans on a GPU share -----------===//
#pragma once

#include "passes/tile/ScanTiles.h"

namespace bitbyte::tile {

/// How a program of a selective scan is laid out. Its tile is [states, warps,
/// lanes, channels]: a lane holds some states of some neighbouring channels,
/// the lanes of a warp go over channels, then states, and warps over channels
/// only. So sums over states need no shared memory.
struct GpuScanSizes {
  int64_t batch, length, channels, states; ///< B T D N
  int64_t padded;                          ///< states of the tile
  int64_t perLane;                         ///< states of a lane
  int64_t wide;                            ///< channels of a lane
  int64_t warps;
  bool whole;    ///< channels are whole warps
  int64_t chunk; ///< items whose B and C lie in shared memory, a multiple of
  int64_t step;  ///< items in registers at once
  int64_t parts = 1;      ///< into which time is cut
  int64_t partChunks = 0; ///< chunks of a part
  int64_t stateLanes() const { return padded / perLane; }
  int64_t channelLanes() const { return 32 / stateLanes(); }
  int64_t warpChannels() const { return channelLanes() * wide; } ///< C
  int64_t chunks() const { return llvm::divideCeil(length, chunk); }
  int64_t columns() const {
    return llvm::divideCeil(channels, warpChannels() * warps);
  }
  int64_t programs() const { return batch * parts * columns(); }
  bool ragged() const { return length % chunk; }
};

/// Lays a scan of x [B, T, D] with a [D, N] out. `most`: states of a lane;
/// `wide`: channels of a lane; `warps`: of a program; all are limits.
GpuScanSizes gpuScanSizes(mlir::Value x, mlir::Value a, mlir::Value b,
                          int64_t chunk, int64_t most, int64_t wide,
                          int64_t warps);

/// Rows of B or C in shared memory.
struct GpuScanRing {
  mlir::Value copied;  ///< [2, chunk, N], as in memory: a chunk ahead
  mlir::Value widened; ///< [chunk, N] in f32; null where the copies are
};

/// The text of one program.
class GpuScanTiles {
public:
  GpuScanTiles(KernelBuilder &k, const GpuScanSizes &sizes);

  //===-- Buffers of kernel arguments, before there is a kernel
  /// [.., D] as [.., D / C, C / wide, wide], or [.., 1, D, 1] if warps are not
  /// whole.
  static BufType split(const GpuScanSizes &s, mlir::Value tensor);
  static BufType split(const GpuScanSizes &s, bb::GraphTensorType type);
  /// [.., D, N] as [.., N] and then the same.
  static BufType turned(const GpuScanSizes &s, bb::GraphTensorType type);

  //===-- Places
  /// `at`, then the first coordinates of the program's row or tile.
  Values place(mlir::ValueRange at, bool isTile = false);
  /// What of a tile exists; nothing: all.
  Values tileBounds();
  /// What of a row exists; nothing: all.
  Values channelBounds();
  /// What of the row of item `t` exists: nothing behind the last item.
  Values rowBounds(mlir::Value t);

  //===-- Memory
  mlir::Value loadTile(mlir::Value buffer, mlir::ValueRange at) {
    return k.load(tile, buffer, place(at, true), tileBounds());
  }
  void storeTile(mlir::Value value, mlir::Value buffer, mlir::ValueRange at) {
    k.store(value, buffer, place(at, true), tileBounds());
  }
  mlir::Value loadRow(mlir::Value buffer, mlir::Value t);
  void storeRow(mlir::Value value, mlir::Value buffer, mlir::Value t) {
    k.store(value, buffer, place({b, t}), rowBounds(t));
  }

  /// The row at `at`, which exists, of a tensor [.., D].
  mlir::Value loadRowAt(mlir::Value buffer, mlir::ValueRange at) {
    return k.load(row, buffer, place(at), channelBounds());
  }
  void storeRowAt(mlir::Value value, mlir::Value buffer, mlir::ValueRange at) {
    k.store(value, buffer, place(at), channelBounds());
  }

  //===-- B and C, a chunk ahead in shared memory
  /// A ring of two stages for rows of `tensor` [B, T, N].
  GpuScanRing ring(mlir::Value tensor);
  void copyChunk(mlir::Value tensor, const GpuScanRing &ring,
                 mlir::Value chunk);
  /// Makes a chunk that was waited for ready for `numbers`: what is narrow is
  /// widened once for all lanes.
  void widen(llvm::ArrayRef<GpuScanRing> rings, mlir::Value chunk);
  /// The numbers of item `i` of a chunk, for every channel.
  mlir::Value numbers(const GpuScanRing &ring, mlir::Value chunk,
                      mlir::Value i);

  /// A row for every state.
  mlir::Value every(mlir::Value row) { return k.broadcast(row, tile, 0); }
  /// a log2(e), from a [D, N].
  mlir::Value rates(mlir::Value a);
  mlir::Value sumStates(mlir::Value tile) {
    return k.reduce(Combiner::Add, tile, 0);
  }

  KernelBuilder &k;
  const GpuScanSizes &s;
  RegType tile, row, number;   ///< [N, warps, lanes, wide]; without N; N alone
  mlir::Value b, part, column; ///< where we are
  mlir::Value zero;

private:
  /// The copy of a chunk's rows.
  mlir::Value stage(const GpuScanRing &ring, mlir::Value chunk);
};

/// [rows, columns], powers of two, over all threads: runs of up to `run`
/// neighbours of a row to a lane; threads that are left over hold replicas.
DistAttr spreadLayout(mlir::MLIRContext *context, int64_t rows, int64_t columns,
                      int64_t run, int64_t warps);

/// The sum of a [count, ...] tensor's parts, in an order that only depends on
/// `count`; warps share the parts.
mlir::Value gpuSumParts(ScheduleContext &context, mlir::Operation *at,
                        mlir::Value parts, int64_t count,
                        bb::GraphTensorType result);

} // namespace bitbyte::tile
