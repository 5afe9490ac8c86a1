"""What is changed: each change to a file that mutmut's operators make, but for wording."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst
from mutmut.mutation.mutators import mutation_operators, operator_assignment, operator_string

#: Operators that tell nothing: of words, and of `a = None`, after which nearly everything raises.
IDLE = (operator_string, operator_assignment)

#: What carries no formula: words, types, what shows an object to people, and errors (never their conditions).
WORDING = (cst.BaseString, cst.Annotation, cst.Decorator, cst.Raise)
SHOWN = {"__repr__", "__str__", "__dir__", "extra_repr"}
EXPLAINED = {
    "option",
    "Criterion",
    "LossSpec",
    "Registry",
    "_check_size",
    "_check_choice",
}  #: their texts are for people

#: Calls on a value that are also left out whole, since no operator of mutmut's does that: x.detach() → x.
LEFT_OUT = {"detach", "clip", "clamp", "clamp_min", "clamp_max", "abs", "sqrt", "log", "exp"}


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    file: str
    line: int
    was: str  #: the changed lines, stripped
    becomes: str
    code: str  #: of the changed file

    @property
    def key(self) -> str:
        return f"{self.file}:{self.line}\n{self.was}\n{self.becomes}"

    @property
    def difference(self) -> str:
        lines = [*(f"- {line}" for line in self.was.split("\n")), *(f"+ {line}" for line in self.becomes.split("\n"))]
        return "\n".join([f"{self.file}:{self.line}", *lines])


def mutants(file: str, code: str) -> list[Mutant]:
    """All mutants of a file that are Python, none twice, in the order of its lines."""
    module, visitor = cst.parse_module(code), _Visitor()
    module.visit(visitor)
    found: dict[str, Mutant] = {}
    for node, changed in visitor.changes:
        mutated = module.deep_replace(node, changed).code
        if mutated not in found and mutated != code and _is_python(mutated):
            found[mutated] = Mutant(file, *_changed_lines(code, mutated), code=mutated)
    return sorted(found.values(), key=lambda mutant: mutant.line)


@dataclass(frozen=True)
class Function:
    """Where a function stands."""

    lines: range  #: from the first decorator on
    body: int  #: the first line after its head
    makes_class: bool  #: whose methods keep their bodies where it gets another


def functions(code: str) -> list[Function]:
    """The functions of a file that lie in no other one."""

    def within(body: list[ast.stmt]) -> Iterator[Function]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                makes_class = any(isinstance(inner, ast.ClassDef) for inner in ast.walk(node))
                yield Function(range(start, (node.end_lineno or start) + 1), node.body[0].lineno, makes_class)
            elif isinstance(node, ast.ClassDef):
                yield from within(node.body)

    return list(within(ast.parse(code).body))


class _Visitor(cst.CSTVisitor):
    """Collects pairs of a node and what it becomes."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, WORDING) or (isinstance(node, cst.FunctionDef) and node.name.value in SHOWN):
            return False
        for kind, operator in mutation_operators:
            if isinstance(node, kind) and operator not in IDLE:
                self.changes += [(node, new) for new in operator(node) if not _only_words(node, new)]
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in LEFT_OUT:
            self.changes.append((node, node.func.value))
        return True


def _only_words(node: cst.CSTNode, new: cst.CSTNode) -> bool:
    """Whether a call that explains itself has lost a text, or a cast its type."""
    name = node.func.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) else None
    if name not in EXPLAINED:
        return name == "cast"
    texts, left = ([a for a in call.args if isinstance(a.value, cst.BaseString)] for call in (node, new))
    return len(left) < len(texts)


def _changed_lines(code: str, mutated: str) -> tuple[int, str, str]:
    """The number of the first changed line, and the changed lines before and after."""
    before, after = code.splitlines(), mutated.splitlines()
    spans = [s for s in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if s[0] != "equal"]
    was = [line.strip() for _, start, end, _, _ in spans for line in before[start:end]]
    becomes = [line.strip() for _, _, _, start, end in spans for line in after[start:end]]
    return spans[0][1] + 1, "\n".join(was), "\n".join(becomes)


def _is_python(code: str) -> bool:
    try:
        compile(code, "", "exec")
    except SyntaxError:
        return False
    return True
