//===- Warpgroup.cpp - wgmma: products of four warps, asynchronous --------===//

#include "runtime/device/emu/Collective.h"
#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Element.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"
#include "runtime/device/emu/TensorMap.h"

#include <algorithm>

namespace bitbyte::emu {

namespace {

void misuse(Warp &warp, const Op &op, const std::string &what) {
  report(warp, op, "bad wgmma",
         fmt::format("warp {}: {}, at {}", warp.id, what,
                     place(warp.block->kernel(), op)));
}

//===----------------------------------------------------------------------===//
// Descriptors: where 16-byte pieces of an operand lie
//===----------------------------------------------------------------------===//

struct Descriptor {
  uint32_t start, leading, stride, swizzle;
  explicit Descriptor(uint64_t bits)
      : start(uint32_t(bits & 0x3fff) << 4),
        leading(uint32_t(bits >> 16 & 0x3fff) << 4),
        stride(uint32_t(bits >> 32 & 0x3fff) << 4) {
    constexpr uint32_t modes[] = {0, 128, 64, 32};
    swizzle = modes[bits >> 62];
  }

  /// Of K-major operands: row `r` of M or N, piece `k` of the two of K. Eight
  /// rows are one core, as wide as the swizzle.
  uint32_t rowPiece(uint32_t r, uint32_t k) const {
    if (!swizzle)
      return start + (r >> 3) * stride + k * leading + (r & 7) * 16;
    return swizzled(start + (r >> 3) * stride + (r & 7) * swizzle + k * 16,
                    swizzle);
  }
  /// Of transposed ones: piece `p` of eight elements of M or N, row `k` of K.
  uint32_t columnPiece(uint32_t p, uint32_t k) const {
    if (!swizzle)
      return start + p * stride + (k >> 3) * leading + (k & 7) * 16;
    uint32_t pieces = swizzle / 16;
    return swizzled(start + p / pieces * leading + p % pieces * 16 +
                        (k >> 3) * stride + (k & 7) * swizzle,
                    swizzle);
  }
};

/// Calls `f(piece, row or column, place)` for the pieces of `rows` rows from
/// `first` on; 32 bytes of K in all.
template <class F>
void eachPiece(const Descriptor &from, bool transposed, uint32_t first,
               uint32_t rows, F f) {
  if (transposed) {
    for (uint32_t k = 0; k < 16; ++k)
      for (uint32_t p = 0; p < rows / 8; ++p)
        f(p, k, from.columnPiece(first / 8 + p, k));
  } else {
    for (uint32_t r = 0; r < rows; ++r)
      for (uint32_t k = 0; k < 2; ++k)
        f(k, r, from.rowPiece(first + r, k));
  }
}

struct Form {
  ElementType a, b;
  uint32_t columns; ///< N
  bool transposeA, transposeB, fromRegisters, negateA, negateB;
  uint32_t depth() const { return 256 / elementBits(a); } ///< K
};

Form formOf(const Op &op) {
  auto bit = [&](int i) { return bool(op.extra >> i & 1); };
  return {ElementType(op.mode),
          ElementType(op.type),
          uint32_t(op.imm),
          bit(0),
          bit(1),
          bit(2),
          bit(3),
          bit(4)};
}

/// Elements [row][K] of an operand in shared memory.
void gatherShared(const Block &block, const Descriptor &from, ElementType type,
                  bool transposed, uint32_t first, uint32_t rows, float *out) {
  uint32_t bytes = elementBits(type) / 8, depth = 32 / bytes;
  eachPiece(from, transposed, first, rows,
            [&](uint32_t piece, uint32_t index, uint32_t place) {
              if (uint64_t(place) + 16 > block.shared.size())
                return; // the finding was told at issue
              for (uint32_t e = 0; e < 16 / bytes; ++e) {
                uint32_t bits = 0;
                std::memcpy(&bits, &block.shared[place + e * bytes], bytes);
                uint32_t row = transposed ? piece * 8 + e : index;
                uint32_t k = transposed ? index : piece * (16 / bytes) + e;
                out[row * depth + k] = elementToFloat(type, bits);
              }
            });
}

/// Rows 16 w to 16 w + 15 of D = A B + D, for warp w of the group.
void compute(Warp &warp, const WarpgroupJob &job) {
  const Op &op = *job.op;
  const Block &block = *warp.block;
  Form form = formOf(op);
  uint32_t depth = form.depth(), n = form.columns;
  const uint32_t *slots = &block.kernel().lists[op.first];
  float a[16 * 32], b[256 * 32], across[32][256];
  if (form.fromRegisters) {
    uint32_t perLane = 32 / elementBits(form.a), bits = elementBits(form.a);
    for (uint32_t q = 0; q < 4; ++q) {
      const uint32_t *lanes = warp.lanes<uint32_t>(slots[n / 2 + q]);
      for (uint32_t i = 0; i < 32; ++i)
        for (uint32_t e = 0; e < perLane; ++e)
          a[((i >> 2) + 8 * (q & 1)) * depth + (q >> 1) * depth / 2 +
            (i & 3) * perLane + e] =
              elementToFloat(form.a, lanes[i] >> (bits * e & 31));
    }
  } else {
    gatherShared(block, Descriptor(job.a), form.a, form.transposeA,
                 16 * (warp.id & 3), 16, a);
  }
  gatherShared(block, Descriptor(job.b), form.b, form.transposeB, 0, n, b);
  float sign = form.negateA != form.negateB ? -1.f : 1.f;
  for (uint32_t k = 0; k < depth; ++k)
    for (uint32_t column = 0; column < n; ++column)
      across[k][column] = sign * b[column * depth + k];
  for (uint32_t row = 0; row < 16; ++row) {
    float sum[256] = {};
    // Register q of eight columns: as those of mma.sync.
    auto slot = [&](uint32_t column) {
      return warp.lanes<float>(
          slots[column / 8 * 4 + 2 * (row >> 3) + (column & 1)]);
    };
    auto lane = [&](uint32_t column) {
      return (row & 7) * 4 + (column >> 1 & 3);
    };
    if (job.accumulate)
      for (uint32_t column = 0; column < n; ++column)
        sum[column] = slot(column)[lane(column)];
    for (uint32_t k = 0; k < depth; ++k) {
      float factor = a[row * depth + k];
      for (uint32_t column = 0; column < n; ++column)
        sum[column] = __builtin_fmaf(factor, across[k][column], sum[column]);
    }
    for (uint32_t column = 0; column < n; ++column)
      slot(column)[lane(column)] = sum[column];
  }
}

//===----------------------------------------------------------------------===//
// Issue, groups and waits
//===----------------------------------------------------------------------===//

/// The tensor cores read an operand: everything about it must be in order.
void checkOperand(Warp &warp, const Op &op, uint64_t bits, bool transposed,
                  uint32_t first, uint32_t rows) {
  Block &block = *warp.block;
  if (bits >> 49 & 7)
    return misuse(warp, op,
                  "a matrix descriptor with a base offset is not "
                  "known here");
  uint32_t group = warp.id / 4;
  RaceChecker::Access access{warp,
                             op,
                             warp.clock,
                             firstWarpgroup + group,
                             block.epochBase + warp.units.committed + 1,
                             -1,
                             false};
  eachPiece(Descriptor(bits), transposed, first, rows,
            [&](uint32_t, uint32_t, uint32_t place) {
              uint32_t offset;
              if (sharedOffset(warp, op, place, 16, -1, offset) &&
                  block.options.checkShared)
                block.races.readAsync(access, offset, 16, warp.units.fenced);
            });
}

/// Its registers: nobody else's since the last fence.
void checkFence(Warp &warp, const Op &op, const Form &form) {
  WarpUnits &units = warp.units;
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  uint32_t count = form.columns / 2 + (form.fromRegisters ? 4 : 0);
  bool dirty = units.fenceTick == 0;
  for (uint32_t i = 0; i < count; ++i)
    dirty |= units.touched[slots[i] / 64] > units.fenceTick;
  if (dirty)
    report(warp, op, "missing fence",
           fmt::format("warp {} uses registers of this wgmma since its last "
                       "wgmma.fence, or had none, at {}",
                       warp.id, place(warp.block->kernel(), op)));
  for (uint32_t i = 0; i < count; ++i) {
    units.inFlight[slots[i] / 64] = uint16_t(form.columns);
    units.flights.push_back({units.committed, slots[i]});
  }
}

void runGroup(Warp &warp, const std::vector<WarpgroupJob> &group) {
  for (const WarpgroupJob &job : group)
    compute(warp, job);
}

void multiply(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  wantLanes(warp, op, ~uint32_t(0));
  Form form = formOf(op);
  uint32_t lane = warp.firstLane();
  if (block.warps.size() < (warp.id / 4 + 1) * 4)
    return misuse(warp, op, "it is in no group of four warps");
  WarpgroupJob job{
      &op, form.fromRegisters ? 0 : warp.lanes<uint64_t>(op.a)[lane],
      warp.lanes<uint64_t>(op.b)[lane],
      bool((op.narrow ? ~warp.mask(op.c) : warp.mask(op.c)) >> lane & 1)};
  checkFence(warp, op, form);
  if (!form.fromRegisters)
    checkOperand(warp, op, job.a, form.transposeA, 16 * (warp.id & 3), 16);
  checkOperand(warp, op, job.b, form.transposeB, 0, form.columns);
  // Epochs of what it read end at its group.
  ++warp.clock[warp.id];
  if (block.options.schedule == Schedule::Eager)
    compute(warp, job);
  warp.units.open.push_back(job);
}

void commit(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  wantLanes(warp, op, ~uint32_t(0));
  WarpUnits &units = warp.units;
  units.groups.push_back(std::move(units.open));
  units.open.clear();
  ++units.committed;
  block.unitEpochs = std::max(block.unitEpochs, units.committed + 1);
  ++block.units.changes;
}

/// Runs a warp's oldest groups until `upto` have run.
void catchUp(Warp &warp, uint32_t upto) {
  WarpUnits &units = warp.units;
  while (units.run < upto && !units.groups.empty()) {
    if (warp.block->options.schedule != Schedule::Eager)
      runGroup(warp, units.groups.front());
    units.groups.erase(units.groups.begin());
    ++units.run;
  }
}

/// The four warps multiply together: all must have come as far.
void wait(Warp &warp, const Op &op) {
  Block &block = *warp.block;
  wantLanes(warp, op, ~uint32_t(0));
  WarpUnits &units = warp.units;
  uint32_t first = warp.id & ~3u;
  if (units.committed <= uint64_t(op.imm) || block.warps.size() < first + 4)
    return;
  uint32_t upto = units.committed - uint32_t(op.imm);
  for (uint32_t i = first; i < first + 4; ++i)
    if (block.warps[i].units.committed < upto) {
      warp.state = WarpState::Blocked;
      warp.retry = true;
      return;
    }
  for (uint32_t i = first; i < first + 4; ++i)
    catchUp(block.warps[i], upto);
  uint32_t &seen = warp.clock[firstWarpgroup + warp.id / 4];
  seen = std::max(seen, block.epochBase + upto);
  std::erase_if(units.flights, [&](auto &flight) {
    if (flight.first >= upto)
      return false;
    units.inFlight[flight.second / 64] = 0;
    return true;
  });
  for (auto &flight : units.flights) // a later one may use the same
    units.inFlight[flight.second / 64] = 1;
}

} // namespace

void checkRegisters(Warp &warp, const Op &op) {
  WarpUnits &units = warp.units;
  ++units.tick;
  if (op.run == multiply)
    return;
  const uint32_t *uses = warp.block->kernel().uses.data() + op.firstUse;
  for (uint32_t i = 0; i < op.uses; ++i) {
    uint32_t index = uses[i] / 64;
    units.touched[index] = units.tick;
    if (units.inFlight[index])
      misuse(warp, op,
             "a register is used while a wgmma that was not waited for has it");
  }
}

static void decodeProduct(Decoder &d) {
  std::string_view shape;
  if (!d.take("sync") || !d.take("aligned") || !d.takePrefix("m64n", shape))
    return d.refuse("of the shapes of wgmma only m64nNkK are known");
  Type sum = d.takeType(), a = d.takeType(), b = d.takeType();
  auto typeA = elementTypeOf(a), typeB = elementTypeOf(b);
  uint32_t n = 0, k = 0;
  size_t at = 4;
  for (; at < shape.size() && shape[at] >= '0' && shape[at] <= '9' && n < 999;
       ++at)
    n = n * 10 + uint32_t(shape[at] - '0');
  for (++at; at < shape.size() && k < 999; ++at)
    k = k * 10 + uint32_t(shape[at] - '0');
  if (sum != Type::F32 || !typeA || !typeB || isWhole(*typeA) ||
      isWhole(*typeB) || elementBits(*typeA) != elementBits(*typeB) ||
      (elementBits(*typeA) > 8 && *typeA != *typeB))
    return d.refuse("of wgmma only products of floats into f32 are known");
  if (n % 8 || n < 8 || n > 256 || k != 256 / elementBits(*typeA))
    return d.refuse("this shape is none of wgmma");
  bool registers = d.operands() > 1 && d.isVector(1);
  bool transposes = elementBits(*typeA) == 16;
  // D, A, B, scale-d, the signs of A and B, and whether they are transposed.
  if (!d.expect(6 + (transposes ? size_t(registers ? 1 : 2) : 0)))
    return;
  std::vector<uint32_t> slots = d.writeVector(0, 32);
  if (slots.size() != n / 2)
    return d.refuse("the sums have another number of registers");
  if (registers) {
    std::vector<uint32_t> more = d.readVector(1, 32);
    if (more.size() != 4)
      return d.refuse("A has four registers");
    slots.insert(slots.end(), more.begin(), more.end());
  } else {
    d.op.a = d.read(1, 64);
  }
  d.op.b = d.read(2, 64);
  d.op.c = d.readPredicate(3);
  d.op.narrow = d.isNegated(3);
  int64_t signA = d.needNumber(4), signB = d.needNumber(5);
  int64_t transA = 0, transB = 0;
  if (transposes) {
    transA = registers ? 0 : d.needNumber(6);
    transB = d.needNumber(registers ? 6 : 7);
  }
  auto isSign = [](int64_t sign) { return sign == 1 || sign == -1; };
  if (!isSign(signA) || !isSign(signB) || (transA | transB) >> 1)
    return d.refuse("signs are 1 or -1, transpositions 0 or 1");
  d.op.mode = uint8_t(*typeA);
  d.op.type = uint8_t(*typeB);
  d.op.imm = n;
  d.op.extra = uint32_t(transA | transB << 1) | uint32_t(registers) << 2 |
               uint32_t(signA < 0) << 3 | uint32_t(signB < 0) << 4;
  d.list(slots);
  d.op.run = multiply;
}

void addWarpgroup(DecoderTable &table) {
  table["wgmma"] = [](Decoder &d) {
    d.builder.kernel.usesUnits = d.builder.kernel.usesWarpgroups = true;
    if (d.take("mma_async"))
      return decodeProduct(d);
    int what = d.takeOneOf({"fence", "commit_group", "wait_group"});
    if (what < 0 || !d.take("sync") || !d.take("aligned") ||
        !d.expect(what == 2 ? 1 : 0))
      return;
    if (what == 2)
      d.op.imm = std::max<int64_t>(d.needNumber(0), 0);
    d.op.run = what == 0 ? [](Warp &warp, const Op &op) {
      wantLanes(warp, op, ~uint32_t(0));
      warp.units.fenceTick = warp.units.tick;
    }
               : what == 1 ? commit
                           : wait;
  };
}

} // namespace bitbyte::emu
