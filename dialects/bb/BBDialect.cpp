#include "dialects/bb/BBDialect.h"
#include "dialects/bb/BBDialect.cpp.inc"
#include "dialects/bb/BBEnums.cpp.inc"
#include "dialects/bb/BBOps.h"
#include "dialects/bb/Nearest.h"
#include "llvm/ADT/TypeSwitch.h"
#define GET_ATTRDEF_CLASSES
#include "dialects/bb/BBAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/bb/BBTypes.cpp.inc"
using namespace bitbyte::bb;
void BBDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/bb/BBAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/bb/BBTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/bb/BBOps.cpp.inc"
      >();
}

std::optional<mlir::Dialect::ParseOpHook>
BBDialect::getParseOperationHook(llvm::StringRef) const {
  // A hook is a reference: what it refers to must stay.
  static const auto refuse =
      [](mlir::OpAsmParser &parser,
         mlir::OperationState &state) -> mlir::ParseResult {
    llvm::StringRef word = state.name.stripDialect();
    llvm::SmallVector<llvm::StringRef> names;
    for (mlir::RegisteredOperationName op :
         parser.getContext()->getRegisteredOperationsByDialect("bb"))
      names.push_back(op.stripDialect());
    return parser.emitError(parser.getNameLoc())
           << "is unknown" << hint(word, names);
  };
  return refuse;
}
