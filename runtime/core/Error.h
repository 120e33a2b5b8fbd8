//===- Error.h - What went wrong, and what the caller may do --------------===//
#pragma once

#include <fmt/format.h>
#include <string>
#include <tl/expected.hpp>

namespace bitbyte {

/// What the caller may do about an error; the message says what happened. The
/// values are the exit codes of the tools (docs/reference/exit-codes.md).
enum class ErrorKind : int {
  Failed = 1,       ///< Failed while running: I/O, a bug, a kernel.
  Usage = 2,        ///< The command line is wrong.
  BadInput = 3,     ///< The file named in the message is wrong: fix it.
  NoDevice = 4,     ///< No usable device, or too little memory on it.
  Diverged = 5,     ///< Non-finite numbers.
  Interrupted = 75, ///< Stopped by a signal after saving.
};

struct Error {
  ErrorKind kind;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

/// return fail(ErrorKind::BadInput, "{}: {} bytes is no header", path, n);
template <typename... Args>
tl::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format,
                           Args &&...args) {
  return tl::unexpected<Error>(
      Error{kind, fmt::format(format, std::forward<Args>(args)...)});
}

/// Hands an error on: BB_TRY(readHeader(file));
#define BB_TRY(expression)                                                     \
  do {                                                                         \
    if (auto bbResult = (expression); !bbResult)                               \
      return tl::unexpected(std::move(bbResult.error()));                      \
  } while (false)

/// Hands an error on, or names the value: BB_ASSIGN(auto file, open(path));
#define BB_ASSIGN(declaration, expression)                                     \
  BB_ASSIGN_AT(declaration, expression, BB_CONCAT(bbResult, __LINE__))
#define BB_ASSIGN_AT(declaration, expression, name)                            \
  auto name = (expression);                                                    \
  if (!name)                                                                   \
    return tl::unexpected(std::move(name.error()));                            \
  declaration = std::move(*name)
#define BB_CONCAT(a, b) BB_CONCAT_AGAIN(a, b)
#define BB_CONCAT_AGAIN(a, b) a##b

} // namespace bitbyte
