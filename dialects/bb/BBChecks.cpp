//===- BBChecks.cpp - Numbers that something is divided by ----------------===//
#include "dialects/bb/BBChecks.h"

using namespace mlir;
using namespace bitbyte::bb;

/// Without a place, as where types are only tried, there is no message.
static LogicalResult fail(std::optional<Location> loc, const Twine &message) {
  if (loc)
    emitError(*loc) << message;
  return failure();
}

LogicalResult bitbyte::bb::checkAbove0(std::optional<Location> loc,
                                       StringRef op, StringRef clause,
                                       DimAttr count) {
  auto n = count.constant();
  if (!n || *n > 0)
    return success();
  return fail(loc, "'" + op + "' needs a " + clause + " above 0, but it is " +
                       Twine(*n));
}

LogicalResult bitbyte::bb::checkDivides(std::optional<Location> loc,
                                        StringRef op, DimAttr parts,
                                        GraphTensorType x, int64_t axis) {
  if (x.getRank() != 3)
    return fail(loc, "'" + op + "' needs [B, T, d], but it is " + x.str());
  auto n = parts.constant(), size = x.dim(axis).constant();
  if (!n || (*n > 0 && (!size || *size % *n == 0)))
    return success();
  return fail(loc, "'" + op + "' needs a number that divides '" +
                       x.dim(axis).str() + "' of " + x.str() + ", but it is " +
                       Twine(*n));
}

LogicalResult bitbyte::bb::checkGroups(RmsNormOp norm) {
  if (!norm.getGroups())
    return success();
  auto width = cast<GraphTensorType>(norm.getX().getType()).dim(-1).constant(),
       groups = norm.getGroups()->constant();
  if (!width || !groups || (*groups > 0 && *width % *groups == 0))
    return success();
  return norm.emitOpError("has ")
         << *groups << " groups, which do not divide its rows of " << *width;
}
