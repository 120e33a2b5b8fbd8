//===- Rows.cpp - Loops of ops that work along an axis --------------------===//

#include "compiler/interpreter/Families.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace bitbyte::bb;

/// y = x / sqrt(mean(x^2) + eps) * g over each of `groups` parts of a row.
static LogicalResult rmsNorm(RmsNormOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &g = frame[op.getG()];
  int64_t width = x.dim(-1), groups = whole(op.getGroupsAttr());
  int64_t part = groups ? width / groups : width;
  double eps = number(op.getEps());
  Array y(x.shape);
  for (int64_t begin = 0; begin < x.size(); begin += part) {
    double sum = 0;
    for (int64_t i = begin; i < begin + part; ++i)
      sum += x[i] * x[i];
    double rate = 1 / std::sqrt(sum / part + eps);
    for (int64_t i = begin; i < begin + part; ++i)
      y[i] = x[i] * rate * g[i % width];
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult layerNorm(LayerNormOp op, Frame &frame) {
  const Array &x = frame[op.getX()], &g = frame[op.getG()];
  const Array *bias = frame.find(op.getB());
  int64_t width = x.dim(-1);
  double eps = number(op.getEps());
  Array y(x.shape);
  for (int64_t begin = 0; begin < x.size(); begin += width) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < width; ++i)
      mean += x[begin + i] / width;
    for (int64_t i = 0; i < width; ++i)
      variance += (x[begin + i] - mean) * (x[begin + i] - mean) / width;
    double rate = 1 / std::sqrt(variance + eps);
    for (int64_t i = 0; i < width; ++i)
      y[begin + i] =
          (x[begin + i] - mean) * rate * g[i] + (bias ? (*bias)[i] : 0);
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

static LogicalResult softmax(SoftmaxOp op, Frame &frame) {
  Array y = frame[op.getX()];
  int64_t width = y.dim(-1);
  for (int64_t begin = 0; begin < y.size(); begin += width) {
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = begin; i < begin + width; ++i)
      top = std::fmax(top, y[i]);
    for (int64_t i = begin; i < begin + width; ++i)
      sum += y[i] = std::exp(y[i] - top);
    for (int64_t i = begin; i < begin + width; ++i)
      y[i] /= sum;
  }
  frame.set(op.getY(), std::move(y));
  return success();
}

/// nats = log(sum(exp(z))) - z[target].
static LogicalResult crossEntropy(CrossEntropyOp op, Frame &frame) {
  const Array &z = frame[op.getLogits()], &target = frame[op.getTarget()];
  int64_t width = z.dim(-1);
  Array nats(target.shape);
  for (int64_t row = 0; row < nats.size(); ++row) {
    auto id = static_cast<int64_t>(target[row]);
    if (id < 0 || id >= width)
      return op.emitOpError("target ")
             << id << " is outside " << width << " logits";
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < width; ++i)
      top = std::fmax(top, z[row * width + i]);
    for (int64_t i = 0; i < width; ++i)
      sum += std::exp(z[row * width + i] - top);
    nats[row] = top + std::log(sum) - z[row * width + id];
  }
  frame.set(op.getNats(), std::move(nats));
  return success();
}

/// Sum, mean, largest, or largest absolute value over some axes.
static LogicalResult reduce(ReduceOp op, Frame &frame) {
  const Array &x = frame[op.getX()];
  StringRef by = op.getBy();
  Shape kept = x.shape;
  double count = 1;
  for (int64_t axis : wholes(op.getAxes())) {
    axis = axisOf(axis, x.rank());
    count *= kept[axis];
    kept[axis] = 1;
  }
  bool largest = by == "max" || by == "absmax";
  if (!largest && by != "sum" && by != "mean")
    return op.emitOpError("cannot reduce by '") << by << "'";
  double start = by == "max" ? -std::numeric_limits<double>::infinity() : 0;
  Array y(kept, start);
  Shape ofX = stridesOf(x.shape), ofY = broadcastStrides(kept, x.shape);
  forIndices<2>(x.shape, {ofX, ofY}, [&](auto at) {
    double &sum = y[at[1]];
    double value = by == "absmax" ? std::fabs(x[at[0]]) : x[at[0]];
    sum = largest ? std::fmax(sum, value) : sum + value;
  });
  if (by == "mean")
    for (double &element : y.data)
      element /= count;
  y.shape = shapeOf(op.getY());
  frame.set(op.getY(), std::move(y));
  return success();
}

void bitbyte::bb::addRows(Loops &loops) {
  add<RmsNormOp, rmsNorm>(loops);
  add<LayerNormOp, layerNorm>(loops);
  add<SoftmaxOp, softmax>(loops);
  add<CrossEntropyOp, crossEntropy>(loops);
  add<ReduceOp, reduce>(loops);
}
