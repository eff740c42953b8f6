#include "core/configuration_node.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/configuration_keys.h"
#include "core/error.h"

namespace cola {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

ConfigurationNode parse(const std::string& yaml) {
  return ConfigurationNode::from_text(yaml, "a.yaml");
}

// The value of `yaml` as section.key.
ConfigurationNode value(const std::string& yaml) {
  return *parse("section:\n  key: " + yaml).find("section.key");
}

TEST(ConfigurationNode, ReadsSectionsInWrittenOrder) {
  const ConfigurationNode root = parse("b: {y: 1, x: [two, three]}\na:\n  z: 4\n");
  ASSERT_EQ(root.kind(), ConfigurationNode::Kind::mapping);
  ASSERT_EQ(root.children().size(), 2u);
  EXPECT_EQ(root.children()[0].name(), "b");
  EXPECT_EQ(root.children()[0].children()[1].name(), "x");
  EXPECT_EQ(root.find("b.x")->items("")[1].text(), "three");
  EXPECT_EQ(root.find("a.z")->whole_number<int>(), 4);
  EXPECT_EQ(root.find("a.y"), nullptr);
  EXPECT_EQ(root.find("c.y"), nullptr);
  EXPECT_EQ(root.find("a.z.z"), nullptr);
}

TEST(ConfigurationNode, ReadsWholeNumbersExactly) {
  EXPECT_EQ(value("9223372036854775807").whole_number<std::int64_t>(),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(value("-9223372036854775808").whole_number<std::int64_t>(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(value("18446744073709551615").whole_number<std::uint64_t>(),
            std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(value("0").whole_number<int>(), 0);
}

TEST(ConfigurationNode, RejectsWhatIsNoWholeNumber) {
  for (const char* text :
       {"many", "1.0", "1e5", "0x10", "010", "1_000", "+1", "--", "\"3\"", "[3]", "{a: 3}", "~", "true"})
    EXPECT_NE(message_of([&] { value(text).whole_number<int>(); }).find("expected a whole number"),
              std::string::npos)
        << text;
  EXPECT_EQ(message_of([] { value("2147483648").whole_number<int>(); }),
            "a.yaml:2: section.key: must be between -2147483648 and 2147483647, got 2147483648");
  EXPECT_EQ(message_of([] { value("-1").whole_number<std::uint64_t>(); }),
            "a.yaml:2: section.key: must be between 0 and 18446744073709551615, got -1");
}

TEST(ConfigurationNode, ReadsNumbersExactly) {
  EXPECT_EQ(value("1.0e-6").number(), 1e-6);
  EXPECT_EQ(value("1e-6").number(), 1e-6);
  EXPECT_EQ(value("-.5").number(), -0.5);
  EXPECT_EQ(value("10000").number(), 10000);
  EXPECT_EQ(value("4.9e-324").number(), std::numeric_limits<double>::denorm_min());
}

TEST(ConfigurationNode, RejectsWhatIsNoFiniteNumber) {
  for (const char* text : {"fast", "1,5", "1e", "0x1p3", "'1.5'", "[1.5]", "~", "1.5 2.5"})
    EXPECT_NE(message_of([&] { value(text).number(); }).find("expected a number, got"), std::string::npos)
        << text;
  for (const char* text : {".nan", "nan", "NaN", ".inf", "-.inf", "inf", "-Infinity"})
    EXPECT_NE(message_of([&] { value(text).number(); }).find("expected a finite number, got"),
              std::string::npos)
        << text;
  EXPECT_EQ(message_of([] { value("1e999").number(); }),
            "a.yaml:2: section.key: expected a number that a double can hold, got '1e999'");
}

TEST(ConfigurationNode, ReadsOnlyTrueAndFalseAsBooleans) {
  EXPECT_TRUE(value("true").boolean());
  EXPECT_FALSE(value("false").boolean());
  for (const char* text : {"yes", "on", "1", "True", "\"true\""})
    EXPECT_NE(message_of([&] { value(text).boolean(); }).find("expected true or false, got"),
              std::string::npos)
        << text;
}

TEST(ConfigurationNode, SaysWhatStandsInTheWrongPlace) {
  EXPECT_EQ(message_of([] { value("").text(); }), "a.yaml:2: section.key: expected text, got nothing");
  EXPECT_EQ(message_of([] { value("\"\"").text(); }), "a.yaml:2: section.key: must not be empty");
  EXPECT_EQ(message_of([] { value("{a: b}").text(); }),
            "a.yaml:2: section.key: expected text, got a mapping");
  EXPECT_EQ(message_of([] { value("[a]").number(); }),
            "a.yaml:2: section.key: expected a number, got a list");
  EXPECT_EQ(message_of([] { value("'3'").number(); }),
            "a.yaml:2: section.key: expected a number, got the text '3'");
  EXPECT_EQ(message_of([] { value("a.h5").items("[a, b]"); }),
            "a.yaml:2: section.key: expected a list such as [a, b], got 'a.h5'");
}

TEST(ConfigurationNode, NamesTheLineOfAListItem) {
  const ConfigurationNode root = parse("section:\n  key:\n    - 1\n    - two\n");
  EXPECT_EQ(message_of([&] { root.find("section.key")->items("")[1].number(); }),
            "a.yaml:4: section.key: expected a number, got 'two'");
}

TEST(ConfigurationNode, KeepsMessagesOnOneLine) {
  EXPECT_EQ(message_of([] { value("\"two\\nlines\\x07\"").number(); }),
            "a.yaml:2: section.key: expected a number, got the text 'two\\nlines\\x07'");
  EXPECT_LT(message_of([] { value(std::string(5000, 'x')).number(); }).size(), 250u);
  const std::string message = message_of([] { parse("section: {\"a\\nb\": 1, \"a\\nb\": 2}"); });
  EXPECT_EQ(message, "a.yaml:1: section.a\\nb: is given twice, first at a.yaml:1");
}

TEST(ConfigurationNode, RejectsWhatIsNoMapping) {
  EXPECT_EQ(message_of([] { parse(""); }), "a.yaml:1: expected a mapping of sections, got nothing");
  EXPECT_EQ(message_of([] { parse("# only a comment\n"); }),
            "a.yaml:1: expected a mapping of sections, got nothing");
  EXPECT_EQ(message_of([] { parse("- a\n- b\n"); }), "a.yaml:1: expected a mapping of sections, got a list");
  EXPECT_EQ(message_of([] { parse("words\n"); }), "a.yaml:1: expected a mapping of sections, got 'words'");
}

TEST(ConfigurationNode, RejectsYamlItCouldMisunderstand) {
  EXPECT_EQ(message_of([] { parse("a: {b: 1}\n---\na: {b: 2}\n"); }),
            "a.yaml:2: only one YAML document can be read, and another begins here");
  EXPECT_EQ(message_of([] { parse("a:\n  b: !!int 3\n"); }),
            "a.yaml:2: a.b: YAML tags are not supported, got tag:yaml.org,2002:int");
  EXPECT_EQ(message_of([] { parse("a:\n  [b]: 3\n"); }), "a.yaml:2: a: a key must be a word");
  EXPECT_EQ(message_of([] { parse("a: &x\n  b: [*x, *x]\n"); }), "a.yaml:1: a.b.b: is nested too deeply");
}

TEST(ConfigurationNode, RejectsStrayBrackets) {
  for (const char* text : {"a: {b: 1}\n]\n", "]", "}"})
    EXPECT_EQ(message_of([&] { parse(text); }).substr(0, 7), "a.yaml:") << text;
  ConfigurationNode root = parse("a: {b: 1}\n");
  for (const char* text : {"a.b=]", "a.b=[1]]"})
    EXPECT_EQ(message_of([&] { root.assign(text); }).substr(0, 10), "--set a.b=") << text;
}

TEST(ConfigurationNode, NamesTheLineOfBadYaml) {
  EXPECT_EQ(message_of([] { parse("a:\n  b: 1\n  c: [1, 2\n"); }).substr(0, 23), "a.yaml:4: no valid YAML");
  EXPECT_EQ(message_of([] { parse("a:\n  b: [*.h5]\n"); }).substr(0, 23), "a.yaml:2: no valid YAML");
  EXPECT_NE(message_of([] { parse("a:\n  b: [*.h5]\n"); }).find("begins with * or & needs quotes"),
            std::string::npos);
}

TEST(ConfigurationNode, RejectsDuplicates) {
  EXPECT_EQ(message_of([] { parse("a:\n  b: 1\n  c: 2\n  b: 1\n"); }),
            "a.yaml:4: a.b: is given twice, first at a.yaml:2");
  EXPECT_EQ(message_of([] { parse("a: {b: 1}\nc: {d: 1}\na: {e: 1}\n"); }),
            "a.yaml:3: a: is given twice, first at a.yaml:1");
}

TEST(ConfigurationNode, AssignmentsReplaceAndAdd) {
  ConfigurationNode root = parse("a:\n  b: many\n");
  root.assign("a.b=2");
  root.assign("a.c=[x, 'y=z.w']");
  root.assign("d.e=first");
  root.assign("d.e=last");
  EXPECT_EQ(root.find("a.b")->whole_number<int>(), 2);
  EXPECT_EQ(root.find("a.c")->items("")[1].text(), "y=z.w");
  EXPECT_EQ(root.find("d.e")->text(), "last");
}

TEST(ConfigurationNode, ErrorsInAssignmentsNameTheAssignment) {
  ConfigurationNode root = parse("a:\n  b: 1\nflat: 3\n");
  const auto assign = [&](const std::string& text) { return message_of([&] { root.assign(text); }); };
  for (const char* text : {"", "a.b", "a=1", ".b=1", "a.=1", "=1", "b=c.d"})
    EXPECT_EQ(assign(text), std::string("--set ") + text + ": expected section.key=value");
  EXPECT_EQ(assign("a.b={c: 1}"), "--set a.b={c: 1}: expected a scalar or a list, got a mapping");
  EXPECT_EQ(assign("flat.b=1"), "a.yaml:3: flat: expected a mapping of keys, got '3'");
  EXPECT_EQ(assign("a.b=[1").substr(0, 30), "--set a.b=[1: no valid YAML: e");
  root.assign("a.b=many\nlines");
  EXPECT_EQ(message_of([&] { root.find("a.b")->number(); }),
            "--set a.b=many\\nlines: expected a number, got 'many lines'");
  root.assign("a.b=");
  EXPECT_EQ(message_of([&] { root.find("a.b")->text(); }), "--set a.b=: expected text, got nothing");
}

TEST(ConfigurationNode, FailsAtTheNearestThingThatIsThere) {
  ConfigurationNode root = parse("# comment\na: {b: 1}\nc:\n  d: 2\n");
  root.assign("s.t=1");
  EXPECT_EQ(message_of([&] { root.fail_at("c.d", "is bad"); }), "a.yaml:4: c.d: is bad");
  EXPECT_EQ(message_of([&] { root.fail_at("c.e", "is missing"); }), "a.yaml:3: c.e: is missing");
  EXPECT_EQ(message_of([&] { root.fail_at("x.y", "is missing"); }), "a.yaml:1: x.y: is missing");
  EXPECT_EQ(message_of([&] { root.fail_at("s.t", "is bad"); }), "--set s.t=1: is bad");
  EXPECT_EQ(message_of([&] { root.fail_at("s.u", "is missing"); }), "a.yaml:1: s.u: is missing");
}

TEST(ConfigurationNode, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(message_of([] { ConfigurationNode::from_file("/nowhere/a.yaml"); }),
            "/nowhere/a.yaml: cannot be read: No such file or directory");
  EXPECT_EQ(message_of([] { ConfigurationNode::from_file("/"); }),
            "/: is a directory, not a configuration file");
}

TEST(ConfigurationKeys, EditDistanceMatchesHandValues) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("sitting", "kitten"), 3);
  EXPECT_EQ(edit_distance("rank", "rank"), 0);
  EXPECT_EQ(edit_distance("rnak", "rank"), 2);
}

TEST(ConfigurationKeys, FindsTheKeyThatWasMeant) {
  const std::vector<std::string> known = {"model.rank", "train.global_batch", "train.micro_batch",
                                          "optimizer.lr", "optimizer.betas"};
  EXPECT_EQ(nearest_key("train.globl_batch", known), "train.global_batch");
  EXPECT_EQ(nearest_key("train.micor_batch", known), "train.micro_batch");
  EXPECT_EQ(nearest_key("train.micro", known), "train.micro_batch");
  EXPECT_EQ(nearest_key("train.lr", known), "optimizer.lr");
  EXPECT_EQ(nearest_key("optimizer.beta1", known), "optimizer.betas");
  const std::vector<OtherName> other_names = {{"learning_rate", "optimizer.lr"}};
  EXPECT_EQ(nearest_key("train.learning-rate", known, other_names), "optimizer.lr");
  EXPECT_EQ(nearest_key("train.rank", known, other_names), "model.rank");
}

TEST(ConfigurationKeys, TextSurvivesWritingAndReading) {
  for (const std::string text : {"plain",
                                 "data/train-*.h5",
                                 "/a/b_c.h5",
                                 "60m",
                                 "*.h5",
                                 "true",
                                 "No",
                                 "null",
                                 "a: b",
                                 "a #b",
                                 "- a",
                                 "[a]",
                                 "it's \"quoted\"",
                                 "back\\slash",
                                 "two\nlines\tand\x01",
                                 " space ",
                                 "caf\xc3\xa9",
                                 "~",
                                 ".5",
                                 "1e3",
                                 "a,b",
                                 "&x",
                                 "!x",
                                 "%x",
                                 "@x",
                                 "`x",
                                 "?",
                                 "{",
                                 "|"}) {
    EXPECT_EQ(value(yaml_text(text)).text(), text) << yaml_text(text);
    EXPECT_EQ(value(fmt::format("[{}]", yaml_text(text))).items("")[0].text(), text) << yaml_text(text);
  }
  EXPECT_EQ(yaml_text("data/train-*.h5"), "data/train-*.h5");
  EXPECT_EQ(yaml_text("true"), "\"true\"");
}

TEST(ConfigurationKeys, NumbersSurviveWritingAndReading) {
  for (const double number :
       {0.1, 1.0 / 3, 1e-6, 6e-3, 10000.0, 1e300, 4.9e-324, -2.5, 0.0, 1.7976931348623157e308})
    EXPECT_EQ(value(yaml_number(number)).number(), number) << yaml_number(number);
  EXPECT_EQ(yaml_number(0.001), "0.001");
  EXPECT_EQ(yaml_number(1e-6), "1.0e-06");
  EXPECT_EQ(yaml_number(1e-8), "1.0e-08");
}

}  // namespace
}  // namespace cola
