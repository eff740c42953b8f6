#include "assembly_program.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "emulation_error.h"

namespace cola::emulation {

namespace {

bool is_name_part(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ':' || c == '%' ||
         c == '$';
}

// Words, and single characters of punctuation. A colon behind a word that is not doubled ends a label.
std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isspace(static_cast<unsigned char>(text[i]))) {
      ++i;
    } else if (!is_name_part(text[i]) || text[i] == ':') {
      tokens.emplace_back(1, text[i++]);
    } else {
      std::size_t end = i;
      while (end < text.size() && is_name_part(text[end])) {
        if (text[end] == ':' && (end + 1 == text.size() || text[end + 1] != ':')) break;
        end += text[end] == ':' ? 2 : 1;
      }
      tokens.emplace_back(text.substr(i, end - i));
      i = end;
    }
  }
  return tokens;
}

// %% stands for one % in inline assembly.
std::string without_percents(std::string_view name) {
  while (name.starts_with('%')) name.remove_prefix(1);
  return std::string(name);
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

AssemblyArgument argument_of(const AssemblyProgram& program, const std::string& token) {
  using Kind = AssemblyArgument::Kind;
  if (token == "_") return {};
  if (const auto constant = number_of(token)) return {Kind::constant, *constant, {}};
  if (token.starts_with('%') && !token.starts_with("%%"))
    if (const auto operand = number_of(without_percents(token))) return {Kind::operand, *operand, {}};
  const std::string name = without_percents(token);
  const auto local = std::find(program.locals.begin(), program.locals.end(), name);
  if (local != program.locals.end())
    return {Kind::local, static_cast<std::uint64_t>(local - program.locals.begin()), {}};
  return {Kind::special, 0, name};
}

void add_statement(AssemblyProgram& program, std::span<const std::string> tokens) {
  if (tokens.empty()) return;
  if (tokens[0] == ".reg") {  // of some type
    for (const std::string& token : tokens.subspan(2))
      if (token != ",") program.locals.push_back(without_percents(token));
    return;
  }
  AssemblyInstruction instruction;
  if (tokens[0] == "@") {
    instruction.predicate_negated = tokens[1] == "!";
    tokens = tokens.subspan(instruction.predicate_negated ? 2 : 1);
    const AssemblyArgument predicate = argument_of(program, tokens[0]);
    if (predicate.kind != AssemblyArgument::Kind::local)
      throw EmulationError("assembly with the predicate {}, which it does not declare", tokens[0]);
    instruction.predicate = static_cast<int>(predicate.number);
    tokens = tokens.subspan(1);
  }
  instruction.name = tokens[0];
  if (instruction.name == "bra") {
    instruction.target = tokens[1];
  } else {
    instruction.action = action_of(instruction.name);
    for (const std::string& token : tokens.subspan(1))
      if (is_name_part(token[0]))
        instruction.arguments.push_back(argument_of(program, token));
      else if (std::string_view(",[]{}|").find(token) == std::string_view::npos)
        throw EmulationError("assembly with {} in {}", token, instruction.name);
  }
  program.instructions.push_back(std::move(instruction));
}

}  // namespace

AssemblyProgram::AssemblyProgram(std::string_view text) {
  std::vector<std::string> statement;
  int braces = 0;  // those within a statement are its own
  for (const std::string& token : tokens_of(text)) {
    if (token == ";") {
      add_statement(*this, statement);
      statement.clear();
    } else if (token == ":" && statement.size() == 1) {
      labels.emplace_back(statement[0], instructions.size());
      statement.clear();
    } else if (statement.empty() && (token == "{" || token == "}")) {
      braces += token == "{" ? 1 : -1;
    } else {
      statement.push_back(token);
    }
  }
  add_statement(*this, statement);
  if (braces != 0) throw EmulationError("assembly whose braces do not match: {}", text);
}

void run_assembly(const Site& site, const char* text, std::span<const AssemblyOperand> operands) {
  static std::unordered_map<const char*, AssemblyProgram> programs;  // by the literals of the kernels
  auto found = programs.find(text);
  if (found == programs.end()) found = programs.emplace(text, AssemblyProgram(text)).first;
  AssemblyCall(found->second, site, operands).run();
}

}  // namespace cola::emulation
