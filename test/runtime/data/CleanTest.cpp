#include "runtime/data/pack/Clean.h"

#include <gmock/gmock.h>

using namespace bitbyte;

TEST(Clean, Html) {
  EXPECT_EQ(
      cleanHtml("<html><head><title>no</title></head><body><p>One  two\n"
                "three</p><!-- no --><ul class=\"docnav top\"><li><ul>x"
                "</ul></li></ul>\n<p>a &lt; b &amp; &#233;&#x20ac; &bogus; "
                "<b>bold</b>.<br/>Next</p></body>"),
      "One two three\na < b & é€ &bogus; bold.\nNext\n");
}

TEST(Clean, HtmlThatEndsEarly) {
  EXPECT_EQ(cleanHtml("text <b"), "text <b\n");
  EXPECT_EQ(cleanHtml("text <!-- no"), "text\n");
  EXPECT_EQ(cleanHtml("<style>p {"), "");
  EXPECT_EQ(cleanHtml("&"), "&\n");
}

TEST(Clean, Manual) {
  EXPECT_EQ(
      cleanManual(".\\\" comment\n.TH LS 1\n.SH NAME\nls \\- list\n"
                  ".B one \"two words\"\n.BR ls (1)\n\\fBbold\\fP "
                  "\\(lqquoted\\(rq a\\&b\\ec\n.de XX\nhidden\n..\n.PP\nend"),
      "NAME\nls - list\none two words\nls(1)\nbold “quoted” "
      "ab\\c\nend\n");
  EXPECT_EQ(cleanManual(".so man1/other.1\n"), "");
  EXPECT_EQ(cleanManual("ends with \\"), "ends with\n");
  EXPECT_EQ(cleanManual(".B \"open\\"), "open\n");
}

TEST(Clean, PlainPunctuation) {
  EXPECT_EQ(plainPunctuation("“It’s”… 1–2"), "\"It's\"... 1-2");
}
