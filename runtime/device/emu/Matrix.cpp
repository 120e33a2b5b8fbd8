//===- Matrix.cpp - ldmatrix, stmatrix, mma.sync --------------------------===//

#include "runtime/device/emu/Collective.h"
#include "runtime/device/emu/Decoder.h"
#include "runtime/device/emu/Element.h"
#include "runtime/device/emu/Lanes.h"
#include "runtime/device/emu/Memory.h"

#include <algorithm>

namespace bitbyte::emu {

namespace {

//===----------------------------------------------------------------------===//
// 8x8 matrices of 16-bit elements in shared memory. Lane i holds row i / 4,
// columns i % 4 * 2 and the next; transposed: of the transpose.
//===----------------------------------------------------------------------===//

void loadMatrix(Warp &warp, const Op &op) {
  wantLanes(warp, op, ~uint32_t(0));
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  uint16_t rows[4][8][8] = {};
  for (uint32_t q = 0; q < op.count; ++q)
    for (uint32_t r = 0; r < 8; ++r)
      if (std::byte *data = reach(warp, op, Space::Shared,
                                  addressOf(warp, op.address, q * 8 + r), 16,
                                  -1, Touch::Read))
        std::memcpy(rows[q][r], data, 16);
  for (uint32_t q = 0; q < op.count; ++q) {
    const uint16_t (&m)[8][8] = rows[q];
    storeLanes<uint32_t>(warp, slots[q], [&](uint32_t i) {
      uint32_t r = i >> 2, c = (i & 3) * 2;
      return op.mode ? uint32_t(m[c][r]) | uint32_t(m[c + 1][r]) << 16
                     : uint32_t(m[r][c]) | uint32_t(m[r][c + 1]) << 16;
    });
  }
}

void storeMatrix(Warp &warp, const Op &op) {
  wantLanes(warp, op, ~uint32_t(0));
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  for (uint32_t q = 0; q < op.count; ++q) {
    const uint32_t *pairs = warp.lanes<uint32_t>(slots[q]);
    for (uint32_t r = 0; r < 8; ++r) {
      uint16_t row[8];
      for (uint32_t c = 0; c < 8; ++c)
        row[c] = uint16_t(op.mode ? pairs[c * 4 + (r >> 1)] >> (16 * (r & 1))
                                  : pairs[r * 4 + (c >> 1)] >> (16 * (c & 1)));
      if (std::byte *data = reach(warp, op, Space::Shared,
                                  addressOf(warp, op.address, q * 8 + r), 16,
                                  -1, Touch::Write))
        std::memcpy(data, row, 16);
    }
  }
}

void decodeMatrixAccess(Decoder &d, bool isStore) {
  d.take("sync");
  d.take("aligned");
  if (!d.take("m8n8"))
    return d.refuse("of the matrix shapes only m8n8 is known");
  int number = d.takeOneOf({"x1", "x2", "x4"});
  d.op.mode = d.take("trans");
  bool shared = d.takeOneOf({"shared", "shared::cta"}) >= 0;
  if (number < 0 || !shared || !d.take("b16") || !d.expect(2))
    return;
  d.op.run = isStore ? storeMatrix : loadMatrix;
  d.op.address = d.address(isStore ? 0 : 1, Space::Shared);
  std::vector<uint32_t> slots =
      isStore ? d.readVector(1, 32) : d.writeVector(0, 32);
  if (slots.size() != size_t(1) << number)
    return d.refuse("the vector has another length");
  d.list(slots);
}

//===----------------------------------------------------------------------===//
// mma.sync.m16n8kK. A register of A holds rows 0-7 or 8-15 (bit 0 of its
// number) of a half of K (bit 1); lane i has row i / 4 and, 32 bits long, the
// elements from (i % 4) * (32 / bits) on. B is alike with columns for rows.
// Register q of C and D has row i / 4 + 8 (q / 2), column i % 4 * 2 + q % 2.
//===----------------------------------------------------------------------===//

/// [columns of 8 rows][K] or the like: the elements of one operand as floats.
template <uint32_t width>
void gather(Warp &warp, uint32_t slot, ElementType type, float *out,
            uint32_t stride) {
  const uint32_t *lanes = warp.lanes<uint32_t>(slot);
  constexpr uint32_t perLane = 32 / width;
  for (uint32_t i = 0; i < 32; ++i)
    for (uint32_t e = 0; e < perLane; ++e)
      out[(i >> 2) * stride + (i & 3) * perLane + e] =
          elementToFloat(type, width == 32 ? lanes[i]
                                           : lanes[i] >> (width * e) &
                                                 ((1u << (width & 31)) - 1));
}

/// bf16, the type of most: two elements of a lane are two floats by shifting.
void gatherBrain(Warp &warp, uint32_t slot, float *out, uint32_t stride) {
  const uint32_t *lanes = warp.lanes<uint32_t>(slot);
  for (uint32_t r = 0; r < 8; ++r)
    for (uint32_t k = 0; k < 4; ++k) {
      uint32_t pair = lanes[r * 4 + k];
      out[r * stride + 2 * k] = bitsToFloat(pair << 16);
      out[r * stride + 2 * k + 1] = bitsToFloat(pair & 0xffff0000);
    }
}

void gatherAny(Warp &warp, uint32_t slot, ElementType type, float *out,
               uint32_t stride) {
  switch (elementBits(type)) {
  case 32:
    return gather<32>(warp, slot, type, out, stride);
  case 16:
    return type == ElementType::BF16
               ? gatherBrain(warp, slot, out, stride)
               : gather<16>(warp, slot, type, out, stride);
  case 8:
    return gather<8>(warp, slot, type, out, stride);
  default:
    return gather<4>(warp, slot, type, out, stride);
  }
}

/// Sums in the order of K, with one rounding per step. `Sum` is float, int32_t,
/// or int64_t, which then saturates to 32 bits; products of integers are exact.
template <class Sum>
void multiply(Warp &warp, const Op &op) {
  constexpr bool isFloat = std::is_same_v<Sum, float>;
  wantLanes(warp, op, ~uint32_t(0));
  const uint32_t *slots = &warp.block->kernel().lists[op.first];
  ElementType typeA = ElementType(op.mode), typeB = ElementType(op.type);
  uint32_t k = uint32_t(op.imm), sources = op.extra; // registers of A
  bool halfSums = op.narrow;
  uint32_t sums = halfSums ? 2 : 4;
  const uint32_t *aSlots = slots + sums, *bSlots = aSlots + sources,
                 *cSlots = bSlots + (sources + 1) / 2;
  float a[16][64], transposed[8][64];
  // One register of A is half as deep in K where A has two registers.
  uint32_t depth = 4 * (32 / elementBits(typeA));
  for (uint32_t q = 0; q < sources; ++q)
    gatherAny(warp, aSlots[q], typeA, &a[8 * (q & 1)][(q >> 1) * depth], 64);
  for (uint32_t q = 0; q < (sources + 1) / 2; ++q)
    gatherAny(warp, bSlots[q], typeB, &transposed[0][q * depth], 64);

  Sum b[64][8], result[16][8];
  for (uint32_t n = 0; n < 8; ++n)
    for (uint32_t i = 0; i < k; ++i)
      b[i][n] = Sum(transposed[n][i]);
  for (uint32_t q = 0; q < sums; ++q) {
    const uint32_t *c = warp.lanes<uint32_t>(cSlots[q]);
    for (uint32_t i = 0; i < 32; ++i) {
      uint32_t column = (i & 3) * 2;
      if (halfSums) {
        result[(i >> 2) + 8 * q][column] = Sum(halfToFloat(c[i] & 0xffff));
        result[(i >> 2) + 8 * q][column + 1] = Sum(halfToFloat(c[i] >> 16));
      } else {
        result[(i >> 2) + 8 * (q >> 1)][column + (q & 1)] =
            isFloat ? Sum(bitsToFloat(c[i])) : Sum(int32_t(c[i]));
      }
    }
  }
  for (uint32_t row = 0; row < 16; ++row) {
    Sum sum[8];
    std::memcpy(sum, result[row], sizeof(sum));
    for (uint32_t i = 0; i < k; ++i) {
      Sum factor = Sum(a[row][i]);
      for (uint32_t n = 0; n < 8; ++n)
        if constexpr (isFloat)
          sum[n] = __builtin_fmaf(factor, b[i][n], sum[n]);
        else if constexpr (sizeof(Sum) == 8)
          sum[n] += factor * b[i][n];
        else // may wrap around, like the GPU's without .satfinite
          sum[n] = Sum(uint32_t(sum[n]) + uint32_t(factor * b[i][n]));
    }
    std::memcpy(result[row], sum, sizeof(sum));
  }
  for (uint32_t q = 0; q < sums; ++q)
    storeLanes<uint32_t>(warp, slots[q], [&](uint32_t i) {
      uint32_t column = (i & 3) * 2;
      if (halfSums)
        return floatToHalf(float(result[(i >> 2) + 8 * q][column])) |
               floatToHalf(float(result[(i >> 2) + 8 * q][column + 1])) << 16;
      Sum sum = result[(i >> 2) + 8 * (q >> 1)][column + (q & 1)];
      if constexpr (isFloat)
        return floatToBits(sum);
      return uint32_t(int32_t(
          std::clamp<int64_t>(int64_t(sum), std::numeric_limits<int32_t>::min(),
                              std::numeric_limits<int32_t>::max())));
    });
}

void decodeMultiply(Decoder &d) {
  d.take("sync");
  d.take("aligned");
  std::string_view shape;
  if (!d.takePrefix("m16n8k", shape))
    return d.refuse("of the shapes of mma only m16n8kK are known");
  bool layout = d.take("row") && d.take("col");
  bool saturates = d.take("satfinite");
  // kind::f8f6f4 says that the types are of 8 bits.
  std::string_view kind;
  d.takePrefix("kind::f8f6f4", kind);
  Type sum = d.takeType(), a = d.takeType(), b = d.takeType(),
       addend = d.takeType();
  auto typeA = elementTypeOf(a), typeB = elementTypeOf(b);
  if (!layout || !typeA || !typeB || sum != addend || !d.expect(4))
    return d.refuse("this form of mma is not known");
  uint32_t k = 0;
  for (char c : shape.substr(6))
    k = k * 10 + uint32_t(c - '0');
  unsigned bits = elementBits(*typeA);
  bool whole = isWhole(*typeA);
  bool fits = bits == elementBits(*typeB) && whole == isWhole(*typeB) &&
              (k == 128 / bits || k == 256 / bits) && k <= 64 &&
              sum == (whole ? Type::S32 : sum) &&
              (sum == Type::F32 || sum == Type::S32 ||
               (sum == Type::F16 && *typeA == ElementType::F16));
  if (!fits || (!whole && sum == Type::S32))
    return d.refuse("these types and shape are no form of mma");
  if (saturates && !whole)
    return d.refuse("only sums of integers take .satfinite");
  d.op.run = saturates ? multiply<int64_t>
             : whole   ? multiply<int32_t>
                       : multiply<float>;
  d.op.mode = uint8_t(*typeA);
  d.op.type = uint8_t(*typeB);
  d.op.imm = k;
  d.op.narrow = sum == Type::F16;
  size_t sources = k == 256 / bits ? 4 : 2;
  d.op.extra = uint32_t(sources);
  size_t sums = d.op.narrow ? 2 : 4;
  std::vector<uint32_t> slots = d.writeVector(0, 32);
  std::vector<uint32_t> aSlots = d.readVector(1, 32);
  std::vector<uint32_t> bSlots = d.readVector(2, 32);
  std::vector<uint32_t> cSlots = d.readVector(3, 32);
  if (slots.size() != sums || cSlots.size() != sums ||
      aSlots.size() != sources || bSlots.size() != sources / 2)
    return d.refuse("the operands have other numbers of registers");
  for (const auto *more : {&aSlots, &bSlots, &cSlots})
    slots.insert(slots.end(), more->begin(), more->end());
  d.list(slots);
}

} // namespace

void addMatrix(DecoderTable &table) {
  table["ldmatrix"] = [](Decoder &d) { decodeMatrixAccess(d, false); };
  table["stmatrix"] = [](Decoder &d) { decodeMatrixAccess(d, true); };
  table["mma"] = decodeMultiply;
}

} // namespace bitbyte::emu
