// AssemblyProgram: PTX taken apart, and AssemblyCall, one thread's run through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assembly.h"

namespace cola::emulation {

class AssemblyCall;
using AssemblyAction = void (*)(AssemblyCall&);

/// What an instruction does, with all its qualifiers; null if it is not emulated.
AssemblyAction action_of(std::string_view instruction);
using AssemblyActions = std::map<std::string_view, AssemblyAction>;
const AssemblyActions& actions_of_warps();
const AssemblyActions& actions_of_barriers();
const AssemblyActions& actions_of_copies();

struct AssemblyArgument {
  enum class Kind { operand, local, constant, special, ignored } kind = Kind::ignored;
  std::uint64_t number = 0;  // of the operand or the local register, or the constant itself
  std::string name;          // of a special register
};

struct AssemblyInstruction {
  std::string name;  // with all its qualifiers
  AssemblyAction action = nullptr;
  /// In the order of the text, whatever brackets they are in.
  std::vector<AssemblyArgument> arguments;
  int predicate = -1;  // the local register that decides whether it is done, if one does
  bool predicate_negated = false;
  std::string target;  // of a branch
};

struct AssemblyProgram {
  explicit AssemblyProgram(std::string_view text);

  std::vector<AssemblyInstruction> instructions;
  std::vector<std::pair<std::string, std::size_t>> labels;
  std::vector<std::string> locals;
};

class AssemblyCall {
 public:
  AssemblyCall(const AssemblyProgram& program, const Site& site, std::span<const AssemblyOperand> operands);
  void run();

  const Site& site() const { return site_; }
  const char* name() const { return instruction_->name.c_str(); }
  std::size_t arguments() const { return instruction_->arguments.size(); }
  std::uint64_t value(std::size_t argument) const;
  std::uint32_t word(std::size_t argument) const { return static_cast<std::uint32_t>(value(argument)); }
  void set(std::size_t argument, std::uint64_t value);
  /// The variable that stands for an argument.
  void* variable(std::size_t argument) const;
  /// Whether the thread has come to this instruction before in this run.
  bool again() const { return again_; }

 private:
  static constexpr std::size_t most_locals = 8, most_instructions = 16;

  const AssemblyProgram& program_;
  const Site& site_;
  std::span<const AssemblyOperand> operands_;
  std::uint64_t locals_[most_locals] = {};
  bool visited_[most_instructions] = {};
  const AssemblyInstruction* instruction_ = nullptr;
  bool again_ = false;
};

}  // namespace cola::emulation
