#include "dialects/bb/BBDialect.h"
#include "dialects/bb/BBDialect.cpp.inc"
#include "dialects/bb/BBEnums.cpp.inc"
#include "dialects/bb/BBOps.h"
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
