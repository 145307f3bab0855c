"""A configuration file cut into its statements, so that every refusal can name a line.

The parsers see one statement at a time: tomli does not tell where a key stands, and neither it nor
``ast`` tells which line it was that filled the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A text that is never closed runs to the end of its line, or of the file when it has three quotes:
# so no pattern below is tried twice on the same characters, however broken the file is.
_REST = r"""|\#[^\n]*|(?P<open>[\[({])|(?P<close>[\])}])|(?P<end>\n)|\\.?|[^"'\#\[\](){}\n\\]+"""
_DOUBLE = r'"(?:[^"\\\n]+|\\.?)*+"?'

#: The tokens of the Python-like form that matter here.
PYTHON = re.compile(
    r'"""(?:[^"\\]+|\\.?|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^'\\]+|\\.?|'(?!''))*+(?:'''|\Z)"
    rf"|{_DOUBLE}|'(?:[^'\\\n]+|\\.?)*+'?{_REST}",
    re.DOTALL,
)
#: The same of TOML: no escapes between single quotes, and up to five quotes at a text's end.
TOML = re.compile(
    r'"""(?:[^"\\]+|\\.?|"(?!""))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']+|'(?!''))*+(?:'{3,5}|\Z)"
    rf"|{_DOUBLE}|'[^'\n]*+'?{_REST}",
    re.DOTALL,
)


def statements(text: str, tokens: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    r"""First line (from 1) and text of each statement; lines end with ``\n``.

    Exact as long as the statements so far were correct; callers stop at the first that is not.
    """
    line, start, depth = 1, 0, 0
    for token in tokens.finditer(text):
        if token.lastgroup == "open":
            depth += 1
        elif token.lastgroup == "close":
            depth -= 1
        elif token.lastgroup == "end" and depth <= 0:
            statement = text[start : token.end()]
            if not statement.isspace():
                yield line, statement
            line += statement.count("\n")
            start, depth = token.end(), 0
    if text[start:].strip():
        yield line, text[start:]
