//===- Families.h - Names that integers and floats share ------------------===//
#pragma once

#include "runtime/device/emu/Decoder.h"

namespace bitbyte::emu {

void decodeIntegerAdd(Decoder &decoder, Type type, bool minus);
void decodeIntegerMultiply(Decoder &decoder, Type type);
void decodeIntegerDivide(Decoder &decoder, Type type);
void decodeIntegerNegate(Decoder &decoder, Type type);
void decodeIntegerAbsolute(Decoder &decoder, Type type);
void decodeIntegerMinMax(Decoder &decoder, Type type, bool max);

} // namespace bitbyte::emu
