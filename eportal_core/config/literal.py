"""Python literals and arithmetic, worked out from their syntax tree and never executed."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator

#: Numbers stay below this on either side of zero, as in the databases.
NUMBER_LIMIT = 2**63
#: Operators and brackets that may stand inside each other; Python allows about as many brackets.
MAX_DEPTH = 200

_OPERATORS: dict[type[ast.operator], Callable[[int | float, int | float], int | float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ALLOWED = "only texts, numbers, True, False, None, lists and + - * / // % may stand in a value"
_ONLY_ASSIGNMENTS = (
    "only NAME = value may stand here; a file with [tables] needs a name that ends in .toml"
)
_TOO_DEEP = "the value is nested too deeply"
#: What to say of a number that is not ``in_range``.
NOT_IN_RANGE = "too large; it must fit in 64 bits"


class BadValue(Exception):
    """Why a value cannot be used, a clause without its full stop.

    ``line`` counts from 1 within the text that was given; the caller knows where that stands.
    """

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


def evaluate(text: str) -> object:
    """The value of one expression.

    Raises:
        BadValue: it is no expression, or one that is not allowed.
    """
    refusal = "it cannot be read as a value"
    match _parse(text.strip(), refusal).body:
        case [ast.Expr(value=node)]:
            return _value(node)
        case _:
            raise BadValue(refusal)


def assignments(text: str) -> Iterator[tuple[str, object, int]]:
    """Name, value and line of each ``NAME = expression`` in ``text``.

    Raises:
        BadValue: something else stands there, or the expression is not allowed.
    """
    refusal = "this cannot be read as NAME = value; put texts in quotes, close quotes and brackets"
    for node in _parse(text, refusal).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, _value(value), node.lineno
            case _:
                raise BadValue(_ONLY_ASSIGNMENTS, node.lineno)


def in_range(number: int | float) -> bool:
    """Whether this is a finite number that fits in 64 bits."""
    return abs(number) < NUMBER_LIMIT


def _parse(text: str, refusal: str) -> ast.Module:
    try:
        # A backslash that escapes nothing (in a password, say) is kept, as Python does,
        # and not warned about: the operator did not ask for a lesson in Python.
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except SyntaxError as error:
        raise BadValue(refusal, error.lineno or 1) from None
    except ValueError:  # NUL, or bytes of the environment that are not UTF-8
        raise BadValue(refusal) from None
    except (RecursionError, MemoryError):  # how the parser says that its stack is full
        raise BadValue(_TOO_DEEP) from None


def _value(node: ast.expr, depth: int = 0) -> object:
    if depth > MAX_DEPTH:
        raise BadValue(_TOO_DEEP, node.lineno)
    match node:
        case ast.Constant(value=None | bool() | str()):
            return node.value
        case ast.Constant(value=int() | float() as number):
            return _bounded(number, node)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, depth + 1) for item in items]
        case ast.UnaryOp(op=ast.USub()):
            return _bounded(-_number(node.operand, depth), node)
        case ast.BinOp(op=op) if type(op) in _OPERATORS:
            return _calculated(node, depth)
        case ast.Name():  # not quoted: it may be a password
            raise BadValue(
                "a bare word is no value; put texts in quotes, truth is True or False", node.lineno
            )
        case _:
            raise BadValue(_ALLOWED, node.lineno)


def _calculated(node: ast.BinOp, depth: int) -> int | float:
    left, right = _number(node.left, depth), _number(node.right, depth)
    try:
        return _bounded(_OPERATORS[type(node.op)](left, right), node)
    except ZeroDivisionError:
        raise BadValue("the value divides by zero", node.lineno) from None


def _number(node: ast.expr, depth: int) -> int | float:
    value = _value(node, depth + 1)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("+ - * / // % work on numbers only", node.lineno)
    return value


def _bounded(number: int | float, node: ast.expr) -> int | float:
    if not in_range(number):
        raise BadValue(f"a number in the value is {NOT_IN_RANGE}", node.lineno)
    return number
