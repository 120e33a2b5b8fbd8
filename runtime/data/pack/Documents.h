//===- Documents.h - From inputs to documents -----------------------------===//
#pragma once

#include "runtime/core/Error.h"
#include "runtime/data/pack/ByteSource.h"

#include <string>
#include <string_view>

namespace bitbyte {

/// Takes documents, one after the other, in pieces.
class DocumentSink {
public:
  virtual ~DocumentSink() = default;
  virtual Result<void> append(std::string_view bytes) = 0;
  virtual Result<void> endDocument() = 0;

  Result<void> document(std::string_view bytes) {
    BB_TRY(append(bytes));
    return endDocument();
  }
};

struct DocumentOptions {
  Decode decode = Decode::Auto; ///< Raw: tar archives are not opened either.
  std::string field; ///< Inputs are JSON lines; a document is this field.
};

struct DocumentCounts {
  uint64_t files = 0;
  uint64_t skipped = 0; ///< Hidden entries and links inside directories.
};

/// Feeds one input into `sink`: a file or "-" (one document), a tar archive
/// (one for each regular file, in order), JSON lines (one for each line), or a
/// directory (its files, recursively, sorted by name).
Result<void> readDocuments(const std::string &input,
                           const DocumentOptions &options, DocumentSink &sink,
                           DocumentCounts &counts);

} // namespace bitbyte
