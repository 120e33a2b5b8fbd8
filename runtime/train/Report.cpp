#include "runtime/train/Report.h"

#include "runtime/core/File.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace bitbyte {

using nlohmann::json;

namespace {

double numberIn(const json &line, const char *key) {
  auto found = line.find(key);
  return found != line.end() && found->is_number()
             ? found->get<double>()
             : std::numeric_limits<double>::quiet_NaN();
}

/// Text for HTML; bytes that are no printable ASCII become U+FFFD, so that the
/// page is valid whatever a model says.
std::string escapeHtml(std::string_view text) {
  std::string out;
  for (char c : text)
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\n' || (c >= 32 && c < 127))
      out += c;
    else
      out += "&#xFFFD;";
  return out;
}

constexpr int width = 860, height = 360, left = 50, bottom = 30, top = 10;

/// Maps steps and bits per byte to the drawing.
struct Axes {
  double lastStep = 1, low = 0, high = 8;

  double x(double step) const {
    return left + (width - left - 10) * step / lastStep;
  }
  double y(double bits) const {
    return top + (height - top - bottom) * (high - bits) / (high - low);
  }
};

Axes fitAxes(const RunHistory &history) {
  Axes axes;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  auto take = [&](const std::vector<RunHistory::Point> &points) {
    for (const auto &point : points) {
      axes.lastStep = std::max(axes.lastStep, double(point.step));
      if (std::isfinite(point.bitsPerByte)) {
        low = std::min(low, point.bitsPerByte);
        high = std::max(high, point.bitsPerByte);
      }
    }
  };
  take(history.training);
  for (const auto &[split, points] : history.evaluation)
    take(points);
  if (low > high)
    return axes;
  axes.low = std::floor(low * 2) / 2;
  axes.high = std::max(std::ceil(high * 2) / 2, axes.low + 0.5);
  return axes;
}

/// At most 800 points: means of runs of neighbours.
std::string polyline(const Axes &axes,
                     const std::vector<RunHistory::Point> &points,
                     std::string_view colour, std::string_view label) {
  std::string path;
  size_t group = std::max<size_t>(1, points.size() / 800);
  for (size_t begin = 0; begin < points.size(); begin += group) {
    double sum = 0, step = 0;
    size_t count = 0;
    for (size_t i = begin; i < std::min(begin + group, points.size()); ++i)
      if (std::isfinite(points[i].bitsPerByte)) {
        sum += points[i].bitsPerByte;
        step += static_cast<double>(points[i].step);
        ++count;
      }
    if (count)
      path += fmt::format("{:.1f},{:.1f} ", axes.x(step / double(count)),
                          axes.y(sum / double(count)));
  }
  return fmt::format("<polyline fill=\"none\" stroke=\"{}\" "
                     "stroke-width=\"1.5\" points=\"{}\"><title>{}</title>"
                     "</polyline>\n",
                     colour, path, label);
}

std::string curve(const RunHistory &history) {
  Axes axes = fitAxes(history);
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"bits per byte by "
      "step\">\n",
      width, height);
  for (double bits = axes.low; bits <= axes.high + 1e-9;
       bits += axes.high - axes.low > 3 ? 1 : 0.5)
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" "
                       "stroke=\"#ddd\"/><text x=\"4\" y=\"{:.1f}\">{}</text>"
                       "\n",
                       left, width - 10, axes.y(bits), axes.y(bits),
                       axes.y(bits) + 4, bits);
  for (int i = 0; i <= 4; ++i) {
    double step = axes.lastStep * i / 4;
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{:.0f}"
                       "</text>\n",
                       axes.x(step), height - 8,
                       i == 0 ? "start" : (i == 4 ? "end" : "middle"), step);
  }
  svg += polyline(axes, history.training, "#7aa6d8", "training");
  static constexpr std::string_view colours[] = {"#c0392b", "#27ae60",
                                                 "#8e44ad"};
  size_t colour = 0;
  std::string legend = "<span style=\"color:#7aa6d8\">training</span>";
  for (const auto &[split, points] : history.evaluation) {
    std::string_view c = colours[colour++ % std::size(colours)];
    svg += polyline(axes, points, c, escapeHtml(split));
    for (const auto &point : points)
      if (std::isfinite(point.bitsPerByte))
        svg +=
            fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" "
                        "fill=\"{}\"><title>step {}: {:.4f}</title>"
                        "</circle>\n",
                        axes.x(double(point.step)), axes.y(point.bitsPerByte),
                        c, point.step, point.bitsPerByte);
    legend += fmt::format(" <span style=\"color:{}\">{}</span>", c,
                          escapeHtml(split));
  }
  return svg + "</svg>\n<p>Bits per byte by step: " + legend + "</p>\n";
}

} // namespace

Result<RunHistory> RunHistory::read(const std::string &metricsPath) {
  BB_ASSIGN(auto file, MappedFile::open(metricsPath));
  std::string_view text = file->text();
  RunHistory history;
  std::vector<double> speeds;
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    if (end == text.npos)
      break;
    json line = json::parse(text.substr(0, end), nullptr, false);
    text.remove_prefix(end + 1);
    if (!line.is_object() || !line.contains("step") ||
        !line["step"].is_number_integer() || !line.contains("bpb"))
      return fail(ErrorKind::BadInput, "{}:{}: is no metric", metricsPath,
                  number);
    Point point{line["step"].get<int64_t>(), numberIn(line, "bpb")};
    if (line.contains("split") && line["split"].is_string()) {
      history.evaluation[line["split"].get<std::string>()].push_back(point);
      continue;
    }
    history.training.push_back(point);
    history.bytes = line.value("bytes", uint64_t(0));
    history.skipped = line.value("skipped", int64_t(0));
    speeds.push_back(numberIn(line, "bytes_per_second"));
  }
  if (!speeds.empty()) {
    std::ranges::nth_element(speeds, speeds.begin() + speeds.size() / 2);
    history.bytesPerSecond = speeds[speeds.size() / 2];
  }
  return history;
}

std::string reportHtml(const ReportContent &content) {
  std::string rows;
  for (const auto &[name, value] : content.facts)
    rows += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escapeHtml(name),
                        escapeHtml(value));
  std::string sample;
  if (!content.sample.empty())
    sample = fmt::format("<h2>Sample</h2>\n<pre>{}</pre>\n",
                         escapeHtml(content.sample));
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{0}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em; }}
svg {{ width: 100%; font: 12px sans-serif; }}
th {{ text-align: left; padding-right: 2em; font-weight: normal; color: #666; }}
pre {{ background: #f6f6f6; padding: 1em; white-space: pre-wrap; overflow-wrap: anywhere; }}
</style></head><body>
<h1>{0}</h1>
{1}<table>
{2}</table>
{3}<h2>Config</h2>
<pre>{4}</pre>
</body></html>
)",
                     escapeHtml(content.title), curve(content.history), rows,
                     sample, escapeHtml(content.config));
}

} // namespace bitbyte
