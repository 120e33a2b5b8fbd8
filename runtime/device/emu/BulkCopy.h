//===- BulkCopy.h - cp.async.bulk and what lands later --------------------===//
#pragma once

#include "runtime/device/emu/Execution.h"

namespace bitbyte::emu {

class Decoder;

/// Puts a job on its way; with an eager schedule it lands at once.
void addJob(Block &block, std::shared_ptr<BulkJob> job);

/// Lands what a lane's cp.asyncs up to the `issued`th copy, as of `epoch`.
void landCopies(Warp &warp, uint32_t lane, uint32_t issued, uint32_t epoch);
/// An arrival behind them.
void landArrival(Block &block, const BulkJob &job);

/// cp.async.bulk… and cp.async.mbarrier…, without what was taken already.
void decodeBulkCopy(Decoder &d);
void decodeArriveAfterCopies(Decoder &d);

} // namespace bitbyte::emu
