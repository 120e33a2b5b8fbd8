//===- TileTypes.cpp - Text, checks and arithmetic of tile types ----------===//
#include "dialects/tile/TileDialect.h"

using namespace mlir;

#include "dialects/tile/TileEnums.cpp.inc"

namespace bitbyte::tile {

//===-- #tile.dist --------------------------------------------------------===//

static ParseResult parseLevel(AsmParser &parser,
                              SmallVectorImpl<int64_t> &digits) {
  return parser.parseCommaSeparatedList(
      AsmParser::Delimiter::Square, [&]() -> ParseResult {
        int64_t extent, axis = -1, stride = 0;
        SMLoc loc = parser.getCurrentLocation();
        if (parser.parseInteger(extent))
          return failure();
        if (extent < 1)
          return parser.emitError(loc, "a digit counts to at least 1");
        StringRef word; // `rep`, or `dN` and a stride
        if (parser.parseKeyword(&word))
          return failure();
        if (word != "rep") {
          if (!word.consume_front("d") || word.getAsInteger(10, axis))
            return parser.emitError(loc, "a digit moves along an axis `d0`, "
                                         "`d1`, … or is `rep`");
          if (parser.parseColon() || parser.parseInteger(stride))
            return failure();
        }
        digits.append({extent, axis, stride});
        return success();
      });
}

static void printLevel(AsmPrinter &printer, ArrayRef<int64_t> digits) {
  printer << "[";
  for (size_t i = 0; i < digits.size(); i += 3) {
    if (i)
      printer << ", ";
    printer << digits[i];
    if (digits[i + 1] < 0)
      printer << " rep";
    else
      printer << " d" << digits[i + 1] << ":" << digits[i + 2];
  }
  printer << "]";
}

Attribute DistAttr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> reg, lane, warp;
  if (parser.parseLess() || parser.parseKeyword("reg") ||
      parseLevel(parser, reg) || parser.parseComma() ||
      parser.parseKeyword("lane") || parseLevel(parser, lane))
    return {};
  if (succeeded(parser.parseOptionalComma()))
    if (parser.parseKeyword("warp") || parseLevel(parser, warp))
      return {};
  if (parser.parseGreater())
    return {};
  return DistAttr::get(parser.getContext(), reg, lane, warp);
}

void DistAttr::print(AsmPrinter &printer) const {
  printer << "<reg ";
  printLevel(printer, getReg());
  printer << ", lane ";
  printLevel(printer, getLane());
  if (!getWarp().empty()) {
    printer << ", warp ";
    printLevel(printer, getWarp());
  }
  printer << ">";
}

DistAttr DistAttr::get(MLIRContext *context, const Distribution &distribution) {
  auto flatten = [](ArrayRef<Digit> level) {
    SmallVector<int64_t> flat;
    for (const Digit &digit : level)
      flat.append({digit.extent, digit.axis, digit.stride});
    return flat;
  };
  return get(context, flatten(distribution.reg), flatten(distribution.lane),
             flatten(distribution.warp));
}

Distribution DistAttr::spell(unsigned rank) const {
  auto spellLevel = [](ArrayRef<int64_t> flat) {
    SmallVector<Digit, 4> level;
    for (size_t i = 0; i < flat.size(); i += 3)
      level.push_back({flat[i], flat[i + 1], flat[i + 2]});
    return level;
  };
  return {spellLevel(getReg()), spellLevel(getLane()), spellLevel(getWarp()),
          rank};
}

//===-- !tile.reg ---------------------------------------------------------===//

Type RegType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  DistAttr layout;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseComma() ||
      parser.parseAttribute(layout) || parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    ArrayRef<int64_t>(shape), element, layout);
}

void RegType::print(AsmPrinter &printer) const {
  printer << "<";
  for (int64_t extent : getShape())
    printer << extent << "x";
  printer << getElementType() << ", " << getLayout() << ">";
}

LogicalResult RegType::verify(function_ref<InFlightDiagnostic()> emitError,
                              ArrayRef<int64_t> shape, Type element,
                              DistAttr layout) {
  if (!element.isIntOrFloat() && !element.isIndex())
    return emitError() << "a tile holds integers or floats, not " << element;
  Distribution digits = layout.spell(shape.size());
  int64_t elements = 1, owned = 1;
  for (int64_t extent : shape)
    elements *= extent;
  for (const auto *level : {&digits.reg, &digits.lane, &digits.warp})
    for (const Digit &digit : *level) {
      if (digit.axis >= static_cast<int64_t>(shape.size()))
        return emitError() << "layout moves along axis " << digit.axis
                           << ", but the tile has " << shape.size();
      if (digit.axis >= 0)
        owned *= digit.extent;
    }
  if (owned != elements)
    return emitError() << "layout owns " << owned
                       << " elements, but the tile has " << elements;
  if (!digits.covers(shape))
    return emitError() << "layout owns some elements twice and others never";
  return success();
}

RegType RegType::withElement(Type element) const {
  return get(getContext(), getShape(), element, getLayout());
}

RegType RegType::drop(unsigned axis) const {
  SmallVector<int64_t> shape(getShape());
  shape.erase(shape.begin() + axis);
  return get(getContext(), shape, getElementType(),
             DistAttr::get(getContext(), spell().drop(axis)));
}

//===-- !tile.buf ---------------------------------------------------------===//

Type BufType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  StringRef word;
  Attribute layout;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseComma() ||
      parser.parseKeyword(&word))
    return {};
  std::optional<Space> space = symbolizeSpace(word);
  if (!space) {
    parser.emitError(loc, "a buffer is `global` or `scratch`, not `")
        << word << "`";
    return {};
  }
  if (succeeded(parser.parseOptionalComma()) && parser.parseAttribute(layout))
    return {};
  if (parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    ArrayRef<int64_t>(shape), element, *space, layout);
}

void BufType::print(AsmPrinter &printer) const {
  printer << "<";
  for (int64_t extent : getShape())
    printer << extent << "x";
  printer << getElementType() << ", " << stringifySpace(getSpace());
  if (getLayout())
    printer << ", " << getLayout();
  printer << ">";
}

LogicalResult BufType::verify(function_ref<InFlightDiagnostic()> emitError,
                              ArrayRef<int64_t> shape, Type element,
                              Space space, Attribute layout) {
  if (!element.isIntOrFloat())
    return emitError() << "a buffer holds integers or floats, not " << element;
  if (!layout)
    return success();
  if (auto strided = dyn_cast<StridedAttr>(layout)) {
    if (strided.getStrides().size() != shape.size())
      return emitError() << "buffer has " << shape.size() << " axes, but "
                         << strided.getStrides().size() << " strides";
    if (strided.getOffset() < 0 ||
        (strided.getOffset() && space != Space::Global))
      return emitError() << "global buffers alone begin behind their start, "
                            "not before it";
    return success();
  }
  if (auto panel = dyn_cast<PanelAttr>(layout)) {
    if (shape.size() < 2)
      return emitError() << "a panel has rows and columns, but the buffer has "
                         << shape.size() << " axes";
    if (panel.getK() < 1 || shape.back() % panel.getK())
      return emitError() << "panel width " << panel.getK()
                         << " does not divide " << shape.back() << " columns";
    return success();
  }
  return emitError() << "buffer layout must be #tile.panel or #tile.strided, "
                        "not "
                     << layout;
}

int64_t BufType::getNumElements() const {
  int64_t count = 1;
  for (int64_t extent : getShape())
    count *= extent;
  return count;
}

bool BufType::isPanel() const {
  return isa_and_nonnull<PanelAttr>(getLayout());
}

SmallVector<int64_t> BufType::getStrides() const {
  if (auto strided = dyn_cast_if_present<StridedAttr>(getLayout()))
    return SmallVector<int64_t>(strided.getStrides());
  SmallVector<int64_t> strides(getRank(), 1);
  for (int axis = static_cast<int>(getRank()) - 2; axis >= 0; --axis)
    strides[axis] = strides[axis + 1] * getShape()[axis + 1];
  return strides;
}

int64_t BufType::getOffset() const {
  auto strided = dyn_cast_if_present<StridedAttr>(getLayout());
  return strided ? strided.getOffset() : 0;
}

int64_t BufType::getElementBytes() const {
  return (getElementType().getIntOrFloatBitWidth() + 7) / 8;
}

int64_t BufType::getBytes() const {
  if (!isa_and_nonnull<StridedAttr>(getLayout()))
    return getNumElements() * getElementBytes();
  int64_t last = getOffset();
  for (auto [extent, stride] : llvm::zip_equal(getShape(), getStrides()))
    last += (extent - 1) * stride;
  return (last + 1) * getElementBytes();
}

BufType BufType::global(ArrayRef<int64_t> shape, Type element) {
  return get(element.getContext(), shape, element, Space::Global, {});
}

} // namespace bitbyte::tile
