//===- PlanDialect.cpp - Text form and verifiers of the plan dialect ------===//

#include "dialects/plan/PlanDialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace bitbyte::plan;

#include "dialects/plan/PlanDialect.cpp.inc"
#include "dialects/plan/PlanEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/plan/PlanAttrs.cpp.inc"

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/plan/PlanAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/plan/PlanOps.cpp.inc"
      >();
}

Space bitbyte::plan::spaceOf(StateKind kind) {
  switch (kind) {
  case StateKind::parameter:
    return Space::parameters;
  case StateKind::gradient:
  case StateKind::moment:
  case StateKind::counter:
    return Space::training;
  case StateKind::derived:
    return Space::derived;
  case StateKind::cache:
    return Space::cache;
  }
  llvm_unreachable("all kinds are listed");
}

int64_t bitbyte::plan::bytesOf(RankedTensorType type) {
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return 0;
  unsigned bits = type.getElementTypeBitWidth();
  if (bits == 1) // i1 takes a byte of its own
    bits = 8;
  return bits == 8 || bits == 16 || bits == 32 || bits == 64
             ? type.getNumElements() * (bits / 8)
             : 0;
}

//===----------------------------------------------------------------------===//
// Text: `arena[64 : 4096]` for a buffer, plain numbers for sizes
//===----------------------------------------------------------------------===//

static ParseResult parsePlace(OpAsmParser &parser, BufferAttr &buffer) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  int64_t offset = 0, bytes = 0;
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<Space> space = symbolizeSpace(word);
  if (!space)
    return parser.emitError(loc, "'") << word << "' is not a space";
  if (parser.parseLSquare() || parser.parseInteger(offset) ||
      parser.parseColon() || parser.parseInteger(bytes) ||
      parser.parseRSquare())
    return failure();
  buffer = BufferAttr::getChecked([&] { return parser.emitError(loc); },
                                  parser.getContext(), *space, offset, bytes);
  return success(buffer != nullptr);
}

static void printPlace(OpAsmPrinter &printer, Operation *, BufferAttr buffer) {
  printer << stringifySpace(buffer.getSpace()) << '[' << buffer.getOffset()
          << " : " << buffer.getBytes() << ']';
}

static ParseResult parsePlaces(OpAsmParser &parser, ArrayAttr &buffers) {
  SmallVector<Attribute> list;
  auto parseOne = [&] {
    BufferAttr buffer;
    if (parsePlace(parser, buffer))
      return failure();
    list.push_back(buffer);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, parseOne))
    return failure();
  buffers = parser.getBuilder().getArrayAttr(list);
  return success();
}

static void printPlaces(OpAsmPrinter &printer, Operation *op,
                        ArrayAttr buffers) {
  printer << '(';
  llvm::interleaveComma(
      buffers.getAsRange<BufferAttr>(), printer,
      [&](BufferAttr buffer) { printPlace(printer, op, buffer); });
  printer << ')';
}

static ParseResult parseNumber(OpAsmParser &parser, IntegerAttr &number) {
  int64_t value = 0;
  if (parser.parseInteger(value))
    return failure();
  number = parser.getBuilder().getI64IntegerAttr(value);
  return success();
}

static void printNumber(OpAsmPrinter &printer, Operation *,
                        IntegerAttr number) {
  printer << number.getInt();
}

Attribute InitAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  double a = 0, b = 0;
  if (parser.parseLess() || parser.parseKeyword(&word))
    return {};
  std::optional<InitKind> kind = symbolizeInitKind(word);
  if (!kind) {
    parser.emitError(loc, "'") << word << "' is not an initial value";
    return {};
  }
  if (parser.parseComma() || parser.parseFloat(a) || parser.parseComma() ||
      parser.parseFloat(b) || parser.parseGreater())
    return {};
  return get(parser.getContext(), *kind, a, b);
}

void InitAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyInitKind(getKind()) << ", ";
  printer.printFloat(getA().getValue());
  printer << ", ";
  printer.printFloat(getB().getValue());
  printer << '>';
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

LogicalResult BufferAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 Space space, int64_t offset, int64_t bytes) {
  if (offset < 0 || bytes < 0 || offset + bytes < offset)
    return emitError() << "buffer of " << bytes << " bytes at offset " << offset
                       << " is not a range";
  return success();
}

/// The buffer has exactly the bytes of the type.
static LogicalResult verifySize(Operation *op, RankedTensorType type,
                                BufferAttr buffer) {
  int64_t bytes = bytesOf(type);
  if (bytes == buffer.getBytes() && (bytes || type.getNumElements() == 0))
    return success();
  return op->emitOpError() << type << " takes " << bytes
                           << " bytes, but its buffer has "
                           << buffer.getBytes();
}

static LogicalResult verifyAligned(Operation *op, BufferAttr buffer) {
  if (buffer.getOffset() % PlanDialect::alignment == 0)
    return success();
  return op->emitOpError() << "buffer at offset " << buffer.getOffset()
                           << " is not aligned to " << PlanDialect::alignment
                           << " bytes";
}

static LogicalResult verifyWritable(Operation *op, BufferAttr buffer) {
  if (buffer.getSpace() != Space::constant)
    return success();
  return op->emitOpError("writes to space constant, which is read-only");
}

LogicalResult StateOp::verify() {
  if (getBuffer().getSpace() != spaceOf(getKind()))
    return emitOpError() << stringifyStateKind(getKind()) << " lies in space "
                         << stringifySpace(getBuffer().getSpace())
                         << " instead of "
                         << stringifySpace(spaceOf(getKind()));
  if (failed(verifyAligned(*this, getBuffer())))
    return failure();
  return verifySize(*this, getType(), getBuffer());
}

LogicalResult ConstantOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getValue().getShapedType());
  if (!type)
    return emitOpError("value must be a tensor");
  if (getBuffer().getSpace() != Space::constant)
    return emitOpError("lies in space constant, not in ")
           << stringifySpace(getBuffer().getSpace());
  if (failed(verifyAligned(*this, getBuffer())))
    return failure();
  return verifySize(*this, type, getBuffer());
}

LogicalResult InputOp::verify() {
  if (getBuffer().getSpace() != Space::arena)
    return emitOpError("lies in the arena, not in space ")
           << stringifySpace(getBuffer().getSpace());
  return verifySize(*this, getType(), getBuffer());
}

LogicalResult OutputOp::verify() {
  if (getBuffer().getSpace() != Space::arena)
    return emitOpError("lies in the arena, not in space ")
           << stringifySpace(getBuffer().getSpace());
  return verifySize(*this, getType(), getBuffer());
}

LogicalResult DispatchOp::verify() {
  auto reads = llvm::to_vector(getReads().getAsRange<BufferAttr>());
  auto writes = llvm::to_vector(getWrites().getAsRange<BufferAttr>());
  for (BufferAttr buffer : llvm::concat<BufferAttr>(reads, writes))
    if (failed(verifyAligned(*this, buffer)))
      return failure();
  for (auto [i, write] : llvm::enumerate(writes)) {
    if (failed(verifyWritable(*this, write)))
      return failure();
    for (BufferAttr other : ArrayRef(writes).drop_front(i + 1))
      if (write.overlaps(other))
        return emitOpError()
               << "writes " << write << " and " << other << ", which overlap";
    unsigned equal = 0;
    for (BufferAttr read : reads) {
      if (write.overlaps(read) && write != read)
        return emitOpError() << "reads " << read << " and writes " << write
                             << ", which overlap without being equal";
      equal += write == read;
    }
    if (equal > 1)
      return emitOpError() << "reads " << write << " as " << equal
                           << " operands and computes in place there";
  }
  return success();
}

LogicalResult CopyOp::verify() {
  if (getSource().getBytes() != getTarget().getBytes())
    return emitOpError() << "copies " << getSource().getBytes() << " bytes to "
                         << getTarget().getBytes();
  if (getSource().overlaps(getTarget()))
    return emitOpError() << getSource() << " and " << getTarget() << " overlap";
  return verifyWritable(*this, getTarget());
}

LogicalResult ZeroOp::verify() { return verifyWritable(*this, getTarget()); }

LogicalResult ProgramOp::verifyRegions() {
  int64_t arena = getArenaBytes(), live = getLiveBytes();
  if (live > arena)
    return emitOpError() << "arena of " << arena << " bytes cannot hold "
                         << live << " live bytes";
  llvm::StringSet<> inputs, outputs;
  bool stepSeen = false, outputSeen = false;
  for (Operation &op : getBody().front()) {
    if (!isa<InputOp, OutputOp, DispatchOp, CopyOp, ZeroOp>(op))
      return op.emitOpError("has no place in a plan.program");
    bool isInput = isa<InputOp>(op), isOutput = isa<OutputOp>(op);
    if ((isInput && (stepSeen || outputSeen)) || (!isOutput && outputSeen))
      return op.emitOpError("out of order: inputs stand first, outputs last");
    stepSeen |= !isInput && !isOutput;
    outputSeen |= isOutput;
    if (isInput || isOutput) {
      StringRef name = op.getAttrOfType<StringAttr>("name").getValue();
      if (!(isInput ? inputs : outputs).insert(name).second)
        return op.emitOpError() << "is the second of the name '" << name << "'";
    }
    auto outside = [&](BufferAttr buffer) {
      return buffer.getSpace() == Space::arena && buffer.getEnd() > arena;
    };
    for (NamedAttribute attr : op.getAttrs()) {
      auto list = dyn_cast<ArrayAttr>(attr.getValue());
      auto single = dyn_cast<BufferAttr>(attr.getValue());
      if ((single && outside(single)) ||
          (list && llvm::any_of(list.getAsRange<BufferAttr>(), outside)))
        return op.emitOpError()
               << "uses bytes outside the arena of " << arena << " bytes";
    }
  }
  return success();
}

#define GET_OP_CLASSES
#include "dialects/plan/PlanOps.cpp.inc"
