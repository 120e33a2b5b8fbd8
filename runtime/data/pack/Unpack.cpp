#include "runtime/data/pack/Unpack.h"

#include "runtime/data/pack/Clean.h"
#include "runtime/data/pack/Tar.h"

#include <algorithm>
#include <cstring>
#include <vector>
#include <zlib.h>

namespace bitbyte {

static Result<std::string> readFile(const std::string &path,
                                    Decode decode = Decode::Auto) {
  BB_ASSIGN(std::unique_ptr<ByteSource> source, openSource(path, decode));
  return readAll(*source);
}

/// Documents that are worth keeping apart; empty ones vanish.
static Result<void> give(DocumentSink &sink, const std::string &text) {
  if (text.empty())
    return {};
  return sink.document(text);
}

Result<void> extractPlain(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::string text, readFile(path));
  return give(sink, text);
}

Result<void> extractHtml(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::string text, readFile(path));
  return give(sink, cleanHtml(text));
}

Result<void> extractManual(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::string text, readFile(path));
  return give(sink, cleanManual(text));
}

Result<void> extractSourceTar(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::unique_ptr<ByteSource> source, openSource(path, Decode::Auto));
  return readTar(*source, [&](ByteSource &file) -> Result<void> {
    // Member names read "archive(member)".
    std::string_view name = file.path();
    name.remove_suffix(1);
    if (!name.ends_with(".c") && !name.ends_with(".h"))
      return {};
    BB_ASSIGN(std::string text, readAll(file));
    return give(sink, text);
  });
}

//===----------------------------------------------------------------------===//
// Dictionaries
//===----------------------------------------------------------------------===//

namespace {

/// Gathers short entries into documents of a few KiB, as pages of a book.
class Pages {
public:
  explicit Pages(DocumentSink &sink) : sink(sink) {}

  Result<void> entry(std::string_view text) {
    page += text;
    if (page.size() < pageBytes)
      return {};
    return end();
  }
  Result<void> end() {
    BB_TRY(give(sink, page));
    page.clear();
    return {};
  }

private:
  static constexpr size_t pageBytes = 8192;
  DocumentSink &sink;
  std::string page;
};

/// Calls `visit` with each line, without its end.
template <typename Visit>
Result<void> forLines(std::string_view text, Visit visit) {
  while (!text.empty()) {
    size_t end = text.find('\n');
    BB_TRY(visit(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return {};
}

} // namespace

Result<void> extractDictionary(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::string text, readFile(path));
  // Source marks and braces of cross-references are not prose.
  replaceAll(text, "[1913 Webster]", "");
  replaceAll(text, "[1913 Webster +PJC]", "");
  replaceAll(text, "[PJC]", "");
  text.erase(std::remove_if(text.begin(), text.end(),
                            [](char c) { return c == '{' || c == '}'; }),
             text.end());

  Pages pages(sink);
  std::string entry;
  BB_TRY(forLines(text, [&](std::string_view line) -> Result<void> {
    // A head word stands at the left edge; its explanation is indented.
    if (!line.empty() && line[0] != ' ' && !entry.empty()) {
      BB_TRY(pages.entry(tidySpace(entry)));
      entry.clear();
    }
    entry += line;
    entry += '\n';
    return {};
  }));
  BB_TRY(pages.entry(tidySpace(entry)));
  return pages.end();
}

Result<void> extractGlosses(const std::string &path, DocumentSink &sink) {
  BB_ASSIGN(std::string text, readFile(path));
  Pages pages(sink);
  // offset file type count word id word id … | gloss (count in hex); the
  // licence at the head is indented.
  BB_TRY(forLines(text, [&](std::string_view line) -> Result<void> {
    size_t bar = line.find(" | ");
    if (line.starts_with("  ") || bar == std::string_view::npos)
      return {};
    std::vector<std::string> fields;
    for (size_t i = 0; i < bar;) {
      size_t end = std::min(line.find(' ', i), bar);
      fields.emplace_back(line.substr(i, end - i));
      i = end + 1;
    }
    size_t count =
        fields.size() > 3 ? std::strtoul(fields[3].c_str(), nullptr, 16) : 0;
    if (count == 0 || fields.size() < 4 + 2 * count)
      return fail(ErrorKind::BadInput, "{}: not a line of WordNet: {}", path,
                  line);
    std::string words;
    for (size_t i = 0; i < count; ++i) {
      words += (i ? ", " : "") + fields[4 + 2 * i];
    }
    std::replace(words.begin(), words.end(), '_', ' ');
    return pages.entry(
        tidySpace(words + ": " + std::string(line.substr(bar + 3))));
  }));
  return pages.end();
}

//===----------------------------------------------------------------------===//
// Binary containers
//===----------------------------------------------------------------------===//

static uint32_t bigEndian(const char *bytes) {
  auto *p = reinterpret_cast<const unsigned char *>(bytes);
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 |
         p[3];
}
static uint32_t littleEndian(const char *bytes) {
  auto *p = reinterpret_cast<const unsigned char *>(bytes);
  return uint32_t(p[3]) << 24 | uint32_t(p[2]) << 16 | uint32_t(p[1]) << 8 |
         p[0];
}

/// Inflates one zlib stream at the start of `packed`; sets `used` to its size.
static Result<std::string> inflateAll(std::string_view packed, size_t size,
                                      size_t &used, const std::string &path) {
  constexpr size_t largest = size_t(1) << 28;
  if (size > largest)
    return fail(ErrorKind::BadInput, "{}: a block of {} bytes", path, size);
  std::string out(size, 0);
  z_stream stream = {};
  inflateInit(&stream);
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(size);
  int status = inflate(&stream, Z_FINISH);
  used = stream.total_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END || stream.avail_out != 0)
    return fail(ErrorKind::BadInput, "{}: damaged zlib data", path);
  return out;
}

/// Lines of one book as chapters of paragraphs, a line each.
static Result<void> giveBook(const std::vector<std::string> &lines,
                             DocumentSink &sink) {
  std::string chapter, paragraph;
  auto endParagraph = [&] {
    if (!paragraph.empty())
      chapter += tidySpace(paragraph);
    paragraph.clear();
  };
  for (const std::string &line : lines) {
    std::string_view head = std::string_view(line).substr(0, 7);
    if (head == "VOLUME ")
      continue;
    if (head == "CHAPTER" || head == "Chapter") {
      endParagraph();
      BB_TRY(give(sink, chapter));
      chapter.clear();
    }
    if (line.empty())
      endParagraph();
    else
      paragraph += line + " ";
  }
  endParagraph();
  return give(sink, chapter);
}

Result<void> extractNovels(const std::string &path, DocumentSink &sink) {
  // Each record: its unpacked size, big-endian, and a zlib stream that holds an
  // R value in XDR: "X\n", version 3 header with the name of an encoding, then
  // a character vector (type 16), whose strings (type 9) have flags, length,
  // bytes.
  BB_ASSIGN(std::string file, readFile(path, Decode::Raw));
  std::string_view rest = file;
  auto bad = [&] {
    return fail(ErrorKind::BadInput,
                "{}: not an R database of text, at offset {}", path,
                file.size() - rest.size());
  };
  while (!rest.empty()) {
    if (rest.size() < 4)
      return bad();
    size_t used = 0;
    BB_ASSIGN(std::string value,
              inflateAll(rest.substr(4), bigEndian(rest.data()), used, path));
    constexpr size_t fixedHeader = 2 + 12;
    if (value.size() < fixedHeader + 4 || value.compare(0, 2, "X\n") != 0)
      return bad();
    size_t at = fixedHeader;
    at += 4 + bigEndian(value.data() + at);
    if (at + 8 > value.size() || bigEndian(value.data() + at) != 16)
      return bad();
    uint32_t count = bigEndian(value.data() + at + 4);
    at += 8;
    std::vector<std::string> lines;
    for (uint32_t i = 0; i < count; ++i) {
      if (at + 8 > value.size() || (bigEndian(value.data() + at) & 0xff) != 9)
        return bad();
      uint32_t length = bigEndian(value.data() + at + 4);
      at += 8;
      if (length > value.size() - at)
        return bad();
      lines.push_back(value.substr(at, length));
      at += length;
    }
    BB_TRY(giveBook(lines, sink));
    rest.remove_prefix(4 + used);
  }
  return {};
}

Result<void> extractScripture(const std::string &path, DocumentSink &sink) {
  // The index holds, for each book: offset, packed size, size; little-endian.
  std::string indexPath = path;
  indexPath.back() = 's';
  BB_ASSIGN(std::string index, readFile(indexPath, Decode::Raw));
  BB_ASSIGN(std::string packed, readFile(path, Decode::Raw));
  static constexpr std::string_view drop[] = {"note", "title", "reference"};
  static constexpr std::string_view breaks[] = {"div", "l", "lg", "lb", "p"};

  for (size_t i = 0; i + 12 <= index.size(); i += 12) {
    uint32_t offset = littleEndian(&index[i]);
    uint32_t size = littleEndian(&index[i + 4]);
    if (offset > packed.size() || size > packed.size() - offset)
      return fail(ErrorKind::BadInput, "{}: a book at offset {} of {} bytes",
                  path, offset, size);
    size_t used = 0;
    BB_ASSIGN(std::string book,
              inflateAll(std::string_view(packed).substr(offset, size),
                         littleEndian(&index[i + 8]), used, path));
    // Marks between verses sit inside paragraphs: they break no line.
    std::string_view rest = book;
    while (!rest.empty()) {
      size_t next = rest.find("<chapter ", 1);
      std::string chapter(rest.substr(0, next));
      rest.remove_prefix(std::min(next, rest.size()));
      replaceAll(chapter, "<div type=\"x-milestone\"", "<milestone");
      BB_TRY(
          give(sink, plainPunctuation(stripMarkup(chapter, {drop, breaks}))));
    }
  }
  return {};
}

} // namespace bitbyte
