#include <algorithm>
#include <cstring>

#include "assembly_program.h"
#include "block_runner.h"
#include "emulated_gpu.h"
#include "emulation_error.h"

namespace cola::emulation {

namespace {

using Kind = AssemblyArgument::Kind;

// Blocks are in clusters of their own.
std::uint64_t special_register(const std::string& name) {
  if (name == "laneid") return EmulatedGpu::instance().runner().lane();
  if (name == "cluster_ctarank" || name.starts_with("cluster_ctaid.")) return 0;
  if (name == "cluster_nctarank" || name.starts_with("cluster_nctaid.")) return 1;
  throw EmulationError("the register {} is not emulated", name);
}

}  // namespace

AssemblyCall::AssemblyCall(const AssemblyProgram& program, const Site& site,
                           std::span<const AssemblyOperand> operands)
    : program_(program), site_(site), operands_(operands) {
  if (program.locals.size() > most_locals || program.instructions.size() > most_instructions)
    throw EmulationError("assembly at {}:{} is too long", site.file_name(), site.line());
}

void AssemblyCall::run() {
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    instruction_ = &program_.instructions[i];
    if (instruction_->predicate >= 0 &&
        (locals_[instruction_->predicate] != 0) == instruction_->predicate_negated)
      continue;
    if (!instruction_->target.empty()) {
      const auto label =
          std::find_if(program_.labels.begin(), program_.labels.end(),
                       [&](const auto& candidate) { return candidate.first == instruction_->target; });
      if (label == program_.labels.end())
        throw EmulationError("assembly goes on at {}, where nothing is", instruction_->target);
      i = label->second - 1;
      continue;
    }
    if (!instruction_->action)
      throw EmulationError("the instruction {} at {}:{} is not emulated", instruction_->name,
                           site_.file_name(), site_.line());
    again_ = std::exchange(visited_[i], true);
    instruction_->action(*this);
  }
}

std::uint64_t AssemblyCall::value(std::size_t argument) const {
  const AssemblyArgument& given = instruction_->arguments.at(argument);
  if (given.kind == Kind::constant) return given.number;
  if (given.kind == Kind::local) return locals_[given.number];
  if (given.kind == Kind::special) return special_register(given.name);
  if (given.kind == Kind::ignored) throw EmulationError("{} reads _", instruction_->name);
  const AssemblyOperand& operand = operands_[given.number];
  if (!operand.variable) return operand.value;
  std::uint64_t value = 0;
  std::memcpy(&value, operand.variable, operand.bytes);
  return value;
}

void AssemblyCall::set(std::size_t argument, std::uint64_t value) {
  const AssemblyArgument& given = instruction_->arguments.at(argument);
  if (given.kind == Kind::local)
    locals_[given.number] = value;
  else if (given.kind != Kind::ignored)
    std::memcpy(variable(argument), &value, operands_[given.number].bytes);
}

void* AssemblyCall::variable(std::size_t argument) const {
  const AssemblyArgument& given = instruction_->arguments.at(argument);
  void* const variable = given.kind == Kind::operand ? operands_[given.number].variable : nullptr;
  if (!variable)
    throw EmulationError("{} at {}:{} writes where no variable is", instruction_->name, site_.file_name(),
                         site_.line());
  return variable;
}

}  // namespace cola::emulation
