#include "runtime/core/Float16.h"
#include "runtime/core/Hash.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace bitbyte;

TEST(Float16, EveryF16SurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = f16ToFloat(uint16_t(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(value))));
      continue;
    }
    ASSERT_EQ(value, float(std::bit_cast<_Float16>(uint16_t(bits)))) << bits;
    ASSERT_EQ(floatToF16(value), bits) << value;
  }
}

TEST(Float16, RoundsAsTheProcessorDoes) {
  // Every exponent, and fractions beside the ties of f16.
  for (uint32_t high = 0; high < 0x8000; high += 7)
    for (uint32_t low :
         {0x0u, 0x1u, 0xfffu, 0x1000u, 0x1001u, 0x3000u, 0xffffu}) {
      float value = std::bit_cast<float>(high << 16 | low);
      if (std::isnan(value))
        continue;
      ASSERT_EQ(floatToF16(value), std::bit_cast<uint16_t>(_Float16(value)))
          << value;
    }
}

TEST(Float16, Bf16RoundsToEvenAndKeepsNaN) {
  EXPECT_EQ(floatToBf16(1.0f), 0x3f80);
  EXPECT_EQ(floatToBf16(std::bit_cast<float>(0x3f808000u)),
            0x3f80); // tie, even below
  EXPECT_EQ(floatToBf16(std::bit_cast<float>(0x3f818000u)),
            0x3f82); // tie, even above
  EXPECT_EQ(floatToBf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(floatToBf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(
      std::isnan(bf16ToFloat(floatToBf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(bf16ToFloat(0xc049), -3.140625f);
}

TEST(Hash, PiecesGiveTheHashOfTheWhole) {
  std::vector<std::byte> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = std::byte(i * 37);
  Hasher128 hasher;
  hasher.add(std::span(bytes).first(313));
  hasher.add(std::span(bytes).subspan(313));
  EXPECT_EQ(hasher.digest(), hash128(bytes));
  EXPECT_EQ(hash128({}).hex(), "99aa06d3014798d86001c324468d497f");
}
