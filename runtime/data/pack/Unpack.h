//===- Unpack.h - Documents out of the files of Debian packages -----------===//
#pragma once

#include "runtime/data/pack/Documents.h"

namespace bitbyte {

/// Reads one file of an unpacked package and feeds its documents into `sink`.
/// BadInput if the file is not what the recipe expects.
using Extractor = Result<void> (*)(const std::string &path, DocumentSink &sink);

Result<void> extractPlain(const std::string &path, DocumentSink &sink);
Result<void> extractHtml(const std::string &path, DocumentSink &sink);
Result<void> extractManual(const std::string &path, DocumentSink &sink);
/// C sources and headers inside a tar archive.
Result<void> extractSourceTar(const std::string &path, DocumentSink &sink);
/// A dictionary of dictd, gzip-packed: pages of entries.
Result<void> extractDictionary(const std::string &path, DocumentSink &sink);
/// `data.*` of WordNet: pages of "words: gloss".
Result<void> extractGlosses(const std::string &path, DocumentSink &sink);
/// Character vectors of an R database (.rdb), lines of books: chapters.
Result<void> extractNovels(const std::string &path, DocumentSink &sink);
/// A compressed text of the SWORD project (.bzz beside its .bzs): chapters.
Result<void> extractScripture(const std::string &path, DocumentSink &sink);

} // namespace bitbyte
