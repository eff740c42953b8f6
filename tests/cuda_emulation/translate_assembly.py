#!/usr/bin/env python3
"""Writes the headers of a CUDA library that hold inline assembly once more, for a compiler of C++ alone.

    translate_assembly.py INCLUDE_DIRECTORY TARGET_DIRECTORY

Every  asm volatile("text" : outputs : inputs : clobbers)  becomes a call of what assembly.h declares. Those of them in
directories named arch, and those that say which thread runs, ask for COLA_EMULATED_ARCH in the place of __CUDA_ARCH__:
the rest of the library is compiled as for the host.
"""

import pathlib
import re
import sys

# What asks which thread it runs in.
OF_THREADS = ('cutlass/cutlass.h', 'cutlass/gemm/kernel/static_tile_scheduler.hpp')
# Made of what only nvcc has, for older GPUs.
LEFT_OUT = ('cutlass/arch/wmma.h',)
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'|[A-Za-z_]\w*|::|.', re.DOTALL)
SPACE = re.compile(r'(?:\s|\\\n)*')


def tokens_from(text, position):
    for match in TOKEN.finditer(text, position):
        yield match.group(), match.start(), match.end()


def split_arguments(text, position):
    """The sections and operands of the parentheses that open at `position`, comments left out, and where they end."""
    depth = 0
    sections = [['']]
    for token, _, end in tokens_from(text, position):
        if token.startswith(('//', '/*')):
            continue
        if token in '([{':
            depth += 1
            if depth == 1:
                continue
        elif token in ')]}':
            depth -= 1
            if depth == 0:
                return sections, end
        elif depth == 1 and token in (':', '::'):
            sections += [['']] * (len(token) - 1) + [['']]
            continue
        elif depth == 1 and token == ',':
            sections[-1].append('')
            continue
        sections[-1][-1] += token
    raise ValueError('assembly without an end')


def operand(text):
    match = re.fullmatch(r'\s*(?:\[\w+\]\s*)?"([^"]*)"\s*\((.*)\)[\s\\]*', text, re.DOTALL)
    if not match:
        return None
    constraint, expression = match.groups()
    return f'::cola::emulation::{"output" if constraint[0] in "=+" else "input"}({expression.strip()})'


def translate(text):
    result, copied, skip_to = [], 0, 0
    for token, start, end in tokens_from(text, 0):
        if start < skip_to or token not in ('asm', '__asm__'):
            continue
        opening = SPACE.match(text, end).end()
        qualifier = re.compile(r'(?:__)?volatile(?:__)?').match(text, opening)
        if qualifier:
            opening = SPACE.match(text, qualifier.end()).end()
        if text[opening:opening + 1] != '(':
            continue
        sections, end = split_arguments(text, opening)
        operands = [operand(o) for section in sections[1:3] for o in section if o.strip(' \t\r\n\\')]
        if None in operands:  # as where conditions of the preprocessor stand among them: not for this compiler
            continue
        skip_to = end
        arguments = ['::cola::emulation::Site::current()', sections[0][0].strip()] + operands
        call = f'::cola::emulation::assembly({", ".join(arguments)})'
        result += [text[copied:start], call]
        copied = skip_to
    return ''.join(result) + text[copied:]


def for_the_emulator(name, text):
    if name in LEFT_OUT:
        return ''
    translated = translate(text) if 'asm' in text else text
    if name in OF_THREADS or pathlib.PurePath(name).parent.name == 'arch' and translated != text:
        translated = re.sub(r'\b(__CUDA_ARCH__|__NVCC__)\b', 'COLA_EMULATED_ARCH', translated)
    return translated


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    for path in sorted(source.rglob('*')):
        if not path.is_file():
            continue
        name = path.relative_to(source)
        text = for_the_emulator(str(name), path.read_text(encoding='utf-8'))
        copy = target / name
        if not copy.exists() or copy.read_text(encoding='utf-8') != text:  # else what was built of it is up to date
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
