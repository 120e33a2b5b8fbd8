// How graph ops read and print: operands without types. MLIR's parser wants a
// type for each operand; a scope, opened by each program or block, remembers
// the inferred type of every name so that the text need not repeat it.
#ifndef DIALECTS_BB_BBTEXT_H
#define DIALECTS_BB_BBTEXT_H
#include "dialects/bb/BBOps.h"
#include "llvm/ADT/StringMap.h"

namespace bitbyte::bb {
class TypeScope {
public:
  explicit TypeScope(bool isolated)
      : parent(isolated ? nullptr : current), outer(current) {
    current = this;
  }
  ~TypeScope() { current = outer; }
  static void define(llvm::StringRef name, unsigned number, mlir::Type type) {
    if (current)
      current->types[key(name, number)] = type;
  }
  static void defineResults(mlir::OpAsmParser &p,
                            llvm::ArrayRef<mlir::Type> types) {
    for (auto [i, t] : llvm::enumerate(types)) {
      auto [n, k] = p.getResultName(i);
      if (!n.empty())
        define(n, k, t);
    }
  }
  static mlir::Type lookup(llvm::StringRef name, unsigned number) {
    for (TypeScope *s = current; s; s = s->parent) {
      auto it = s->types.find(key(name, number));
      if (it != s->types.end())
        return it->second;
    }
    return {};
  }

private:
  static std::string key(llvm::StringRef n, unsigned k) {
    n.consume_front("%");
    return (n + "#" + llvm::Twine(k)).str();
  }
  llvm::StringMap<mlir::Type> types;
  TypeScope *parent, *outer;
  static thread_local TypeScope *current;
};

using Names = llvm::SmallVector<mlir::OpAsmParser::UnresolvedOperand>;
/// Resolves names whose types the scope knows, or the text gives after `:`.
mlir::ParseResult resolve(mlir::OpAsmParser &p, const Names &names,
                          llvm::SmallVectorImpl<mlir::Value> &out,
                          llvm::ArrayRef<mlir::Type> given = {});
struct ParsedGraphOp {
  Names names;
  mlir::NamedAttrList attrs;
  llvm::SmallVector<mlir::Type> given;
  bool recompute = false; ///< equals an earlier op, and stays apart from it
};
mlir::ParseResult parseBySyntax(mlir::OpAsmParser &p, llvm::StringRef syntax,
                                bool segments, ParsedGraphOp &out);
void printGraphOp(mlir::OpAsmPrinter &p, mlir::Operation *op,
                  llvm::StringRef syntax);

template <typename OpTy>
mlir::ParseResult parseGraphOp(mlir::OpAsmParser &p,
                               mlir::OperationState &state) {
  using namespace mlir;
  ParsedGraphOp parsed;
  constexpr bool segments =
      OpTy::template hasTrait<OpTrait::AttrSizedOperandSegments>();
  if (parseBySyntax(p, OpTy::syntax(), segments, parsed) ||
      resolve(p, parsed.names, state.operands, parsed.given))
    return failure();
  MLIRContext *ctx = p.getContext();
  SMLoc loc = p.getNameLoc();
  DictionaryAttr dict = parsed.attrs.getDictionary(ctx);
  OpaqueProperties props(nullptr);
  if constexpr (OpTy::hasProperties()) {
    auto &typed = state.getOrAddProperties<typename OpTy::Properties>();
    if (failed(OpTy::setPropertiesFromAttr(typed, dict,
                                           [&] { return p.emitError(loc); })))
      return failure();
    props = OpaqueProperties(&typed);
    // Missing required clauses would reach the shape rule as null: say so here.
    typename OpTy::Adaptor adaptor(state.operands, dict, typed);
    if (failed(adaptor.verify(p.getEncodedSourceLoc(loc))))
      return failure();
  }
  if (failed(OpTy::verifyInherentAttrs(
          OperationName(OpTy::getOperationName(), ctx), parsed.attrs,
          [&] { return p.emitError(loc); })))
    return failure();
  SmallVector<Type> types;
  if (failed(OpTy::inferReturnTypes(ctx, p.getEncodedSourceLoc(loc),
                                    state.operands, dict, props, {}, types)))
    return failure();
  state.addTypes(types);
  if (parsed.recompute)
    state.addAttribute("recompute", p.getBuilder().getUnitAttr());
  if (auto [n, k] = p.getResultName(0); !n.empty() && !isdigit(n[0]))
    state.location = NameLoc::get(StringAttr::get(ctx, n), state.location);
  TypeScope::defineResults(p, types);
  return success();
}

using Types = llvm::SmallVectorImpl<mlir::Type>;
using Loc = std::optional<mlir::Location>;
mlir::LogicalResult sameShape(llvm::StringRef name, Loc loc, mlir::ValueRange x,
                              Types &types);
mlir::LogicalResult broadcastShapes(llvm::StringRef name, Loc loc,
                                    mlir::ValueRange x, Types &types);
mlir::LogicalResult compareShapes(llvm::StringRef name, Loc loc,
                                  mlir::ValueRange x, Types &types);
mlir::LogicalResult selectShape(llvm::StringRef name, Loc loc,
                                mlir::ValueRange x, Types &types);
mlir::LogicalResult normShape(llvm::StringRef name, Loc loc, mlir::ValueRange x,
                              Types &types);
} // namespace bitbyte::bb
#endif
