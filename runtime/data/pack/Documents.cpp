#include "runtime/data/pack/Documents.h"

#include "runtime/data/pack/Tar.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace fs = std::filesystem;

namespace bitbyte {

/// A line of JSON is held in memory whole; more than this is no line.
static constexpr size_t longestLine = size_t(256) << 20;

static Result<std::string> fieldOf(std::string_view line,
                                   const std::string &field,
                                   const std::string &path, uint64_t number) {
  using nlohmann::json;
  try {
    json object = json::parse(line);
    if (!object.is_object())
      return fail(ErrorKind::BadInput, "{}:{}: a JSON {}, not an object", path,
                  number, object.type_name());
    auto found = object.find(field);
    if (found == object.end()) {
      std::string names;
      for (const auto &item : object.items())
        names += (names.empty() ? "" : ", ") + item.key();
      return fail(ErrorKind::BadInput, "{}:{}: no field '{}'; it has: {}", path,
                  number, field, names.empty() ? "none" : names);
    }
    if (!found->is_string())
      return fail(ErrorKind::BadInput,
                  "{}:{}: field '{}' is a {}, not a string", path, number,
                  field, found->type_name());
    return found->get<std::string>();
  } catch (const json::exception &error) {
    return fail(ErrorKind::BadInput, "{}:{}: {}", path, number, error.what());
  }
}

static Result<void> readJsonLines(ByteSource &source, const std::string &field,
                                  DocumentSink &sink) {
  std::string line;
  std::vector<char> buffer(1 << 16);
  uint64_t number = 1;
  auto takeLine = [&]() -> Result<void> {
    if (line.find_first_not_of(" \t\r") != std::string::npos) {
      BB_ASSIGN(std::string text, fieldOf(line, field, source.path(), number));
      BB_TRY(sink.document(text));
    }
    line.clear();
    ++number;
    return {};
  };

  while (true) {
    BB_ASSIGN(size_t got, source.read(buffer));
    if (got == 0)
      return takeLine();
    std::string_view rest(buffer.data(), got);
    while (!rest.empty()) {
      size_t end = rest.find('\n');
      line += rest.substr(0, end);
      if (line.size() > longestLine)
        return fail(ErrorKind::BadInput, "{}:{}: a line of more than {} bytes",
                    source.path(), number, longestLine);
      if (end == std::string_view::npos)
        break;
      BB_TRY(takeLine());
      rest.remove_prefix(end + 1);
    }
  }
}

static Result<void> readWhole(ByteSource &source, DocumentSink &sink) {
  std::vector<char> buffer(1 << 16);
  while (true) {
    BB_ASSIGN(size_t got, source.read(buffer));
    if (got == 0)
      return sink.endDocument();
    BB_TRY(sink.append(std::string_view(buffer.data(), got)));
  }
}

static Result<void> readSource(ByteSource &source,
                               const DocumentOptions &options,
                               DocumentSink &sink, DocumentCounts &counts) {
  auto readOne = [&](ByteSource &file) -> Result<void> {
    ++counts.files;
    if (!options.field.empty())
      return readJsonLines(file, options.field, sink);
    return readWhole(file, sink);
  };
  if (options.decode == Decode::Auto) {
    BB_ASSIGN(std::string_view head, source.peek(tarBlockBytes));
    if (isTarHeader(head))
      return readTar(source, readOne);
  }
  return readOne(source);
}

static Result<void> readDirectory(const fs::path &directory,
                                  const DocumentOptions &options,
                                  DocumentSink &sink, DocumentCounts &counts) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    entries.push_back(*it);
  if (error)
    return fail(ErrorKind::BadInput, "{}: {}", directory.string(),
                error.message());
  std::sort(entries.begin(), entries.end(), [](const auto &a, const auto &b) {
    return a.path().native() < b.path().native();
  });

  for (const fs::directory_entry &entry : entries) {
    fs::file_status status = entry.symlink_status(error);
    bool hidden = entry.path().filename().native().front() == '.';
    if (!hidden && fs::is_directory(status))
      BB_TRY(readDirectory(entry.path(), options, sink, counts));
    else if (!hidden && fs::is_regular_file(status))
      BB_TRY(readDocuments(entry.path().string(), options, sink, counts));
    else
      ++counts.skipped;
  }
  return {};
}

Result<void> readDocuments(const std::string &input,
                           const DocumentOptions &options, DocumentSink &sink,
                           DocumentCounts &counts) {
  std::error_code error;
  if (input != "-" && fs::is_directory(input, error))
    return readDirectory(input, options, sink, counts);
  BB_ASSIGN(std::unique_ptr<ByteSource> source,
            openSource(input, options.decode));
  return readSource(*source, options, sink, counts);
}

} // namespace bitbyte
