"""What a read-only user may ask of the embedded engine, which has no users or grants of its own.

The engine's `readonly` setting stops writes; this gate stops what that setting leaves open: reading and writing files
of the machine, several statements in one request, tables outside the marts. It refuses by default and lets the engine's
own parser say what a text means, so that no trick of quoting or commenting can tell the two apart. No transport here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from serving.errors import QueryError

Ask = Callable[[str, Mapping[str, Any]], str]

READONLY: Final = 164
ACCESS_DENIED: Final = 497
SYNTAX_ERROR: Final = 62

STAGING_SUFFIX: Final = "__new"
MAX_SQL_BYTES: Final = 256 * 1024
_CACHED: Final = 1024
_CACHED_SQL_CHARS: Final = 8 * 1024

_READING_STATEMENTS: Final = frozenset(
    {
        "SelectWithUnionQuery",
        "SelectIntersectExceptQuery",
        "SelectQuery",
        "Explain",
        "DescribeQuery",
        "ExistsTableQuery",
        "ExistsDatabaseQuery",
        "ExistsViewQuery",
        "ExistsDictionaryQuery",
        "ShowTables",
        "ShowColumns",
        "ShowIndexes",
        "ShowFunctions",
        "ShowSetting",
        "ShowEngineQuery",
        "ShowCreateTableQuery",
        "ShowCreateViewQuery",
        "ShowCreateDatabaseQuery",
        "ShowCreateDictionaryQuery",
    }
)
_READING_BELOW_EXPLAIN: Final = frozenset({"SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery"})

# Everything else that yields a table is refused, named as a table or as a value: files, URLs, other servers, programs.
_TABLE_FUNCTIONS: Final = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "null", "view"}
)
_REFUSED_FUNCTIONS: Final = frozenset(
    {
        *("file", "python", "eval", "executable", "sleep", "sleepeachrow", "fuzzquery", "logtrace", "getmacro"),
        *("hostname", "fqdn", "fullhostname", "getserversetting", "getserverport", "tcpport", "serveruuid"),
        *("getoskernelversion", "displayname", "showcertificate", "zookeepersessionuptime", "catboostevaluate"),
        *("demangle", "buildid", "currentrequesturl", "joinget", "joingetornull", "hascolumnintable"),
    }
)
_REFUSED_PREFIXES: Final = ("filesystem", "addressto", "ai", "dict")
# A table function may stand where a value does (`x in url(..)`), and there the tree calls it a plain function.
_TABLE_FUNCTIONS_ONLY: Final = """
    SELECT lower(name) FROM system.table_functions WHERE lower(name) NOT IN (SELECT lower(name) FROM system.functions)
"""

_SYSTEM_TABLES: Final = frozenset(
    {
        *("one", "numbers", "numbers_mt", "zeros", "databases", "tables", "columns", "settings", "functions"),
        *("formats", "data_type_families", "table_engines", "table_functions", "time_zones", "collations"),
        *("keywords", "completions", "contributors", "licenses", "dictionaries", "data_skipping_indices"),
        *("aggregate_function_combinators", "build_options", "projections", "current_roles", "enabled_roles"),
    }
)
_OPEN_DATABASES: Final = frozenset({"default", "information_schema", "INFORMATION_SCHEMA"})

# In the engine's own formatting literals stand in '..' and names in `..`, both with backslash escapes.
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_PARSER_SCOPE: Final = re.compile(r": In scope SELECT formatQuerySingleLine\(.*\)(?=\. \()", re.DOTALL)
_OUTFILE: Final = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)
_IDENTIFIER_PARAMETER: Final = re.compile(r":\s*Identifier\s*\}", re.IGNORECASE)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)(?:\s+SETTINGS\b.*)?\s*$", re.DOTALL)
_PARAMETER: Final = re.compile(r"\{(\w+)\s*:")
_ODD_NAME: Final = re.compile(r"`[^`]*[\\\n][^`]*`")
_NODE: Final = re.compile(r"^( *)(\S+)(?: (.*))?$")
_REMARK: Final = re.compile(r" ?\((?:alias |children \d+\)).*$", re.DOTALL)
_IN_FUNCTION: Final = re.compile(r"^(?:global)?(?:not)?(?:null)?in(?:ignoreset)?$", re.IGNORECASE)
_FUNCTION_NAME: Final = re.compile(r"^\w+$")


@dataclass(slots=True)
class _Node:
    """A line of the engine's syntax tree: what it is, its text, and how many children have been seen."""

    kind: str
    text: str
    children: int = 0


def _is_table_after_in(path: list[_Node]) -> bool:
    """Whether the last node is the table of `x IN table`, which the tree calls a plain identifier."""
    if len(path) < 3 or path[-2].kind != "ExpressionList" or path[-3].kind != "Function":
        return False
    return path[-2].children == 2 and _IN_FUNCTION.match(path[-3].text) is not None


class Gate:
    """Checks statements with the parser of one engine; remembers what it allowed. Safe for several threads.

    `ask` runs SQL with text parameters on a read-only handle and returns the raw answer.
    """

    def __init__(self, ask: Ask, marts_database: str) -> None:
        self._ask = ask
        self._marts = marts_database
        self._allowed: OrderedDict[tuple[str, str], str | None] = OrderedDict()
        self._lock = Lock()
        self._table_functions: frozenset[str] | None = None

    def check(self, sql: str, parameters: Mapping[str, Any], database: str) -> str | None:
        """Name of the output format that the statement itself asks for; QueryError if it is refused.

        `parameters` are values of `{name:Type}` as the engine takes them, `database` resolves unqualified names.
        """
        if len(sql.encode()) > MAX_SQL_BYTES:
            raise QueryError(f"The query is longer than {MAX_SQL_BYTES} bytes.", SYNTAX_ERROR)
        self._check_database(database)
        key = (sql, database)
        with self._lock:
            if key in self._allowed:
                self._allowed.move_to_end(key)
                return self._allowed[key]
        canonical = self._parsed(sql)
        if any(_ODD_NAME.fullmatch(quoted) for quoted in _QUOTED.findall(canonical)):
            # The tree prints names as they are: one with a line break in it could pose as another node.
            raise QueryError("Names with backslashes or control characters are not allowed.", SYNTAX_ERROR)
        bare = _QUOTED.sub("''", canonical)
        if ";" in bare:
            raise QueryError("Several statements in one request are not allowed.", SYNTAX_ERROR)
        if _OUTFILE.search(bare):
            raise QueryError("INTO OUTFILE is not allowed.", ACCESS_DENIED)
        used = set(_PARAMETER.findall(bare))
        given = {name: value for name, value in parameters.items() if name in used}
        self._check_tree(self._ask(f"EXPLAIN AST {canonical}", given), database)
        found = _FORMAT.search(bare)
        output = found.group(1) if found else None
        # A parameter may name a table, so such a text means something else each time.
        if not _IDENTIFIER_PARAMETER.search(bare) and len(sql) <= _CACHED_SQL_CHARS:
            with self._lock:
                self._allowed[key] = output
                while len(self._allowed) > _CACHED:
                    self._allowed.popitem(last=False)
        return output

    def _parsed(self, sql: str) -> str:
        """The statement in the engine's own formatting, on one line. The parser takes no second statement."""
        try:
            return self._ask("SELECT formatQuerySingleLine({q:String})", {"q": sql}).rstrip("\n")
        except QueryError as error:
            raise QueryError(_PARSER_SCOPE.sub("", str(error)), error.code) from None

    def _check_database(self, database: str) -> None:
        if database != self._marts and database not in _OPEN_DATABASES:
            raise QueryError(f"Not allowed to read database {database}.", ACCESS_DENIED)

    def _check_tree(self, tree: str, database: str) -> None:
        path: list[_Node] = []
        for line in tree.splitlines():
            found = _NODE.match(line)
            if found is None:
                continue
            depth = len(found.group(1))
            del path[depth:]
            if path:
                path[-1].children += 1
            path.append(_Node(found.group(2), _REMARK.sub("", found.group(3) or "")))
            self._check_node(path, depth, database)

    def _check_node(self, path: list[_Node], depth: int, database: str) -> None:
        node, parent = path[-1], path[-2] if len(path) > 1 else _Node("", "")
        if depth == 0 and node.kind not in _READING_STATEMENTS:
            raise QueryError("Cannot execute query in readonly mode.", READONLY)
        if parent.kind == "Explain" and node.kind not in _READING_BELOW_EXPLAIN and node.kind != "Set":
            raise QueryError("Only a SELECT can be explained.", READONLY)
        if node.kind == "Function":
            self._check_function(node.text, is_table=parent.kind == "TableExpression")
        elif node.kind == "ColumnsApplyTransformer":
            # The tree does not say which function it applies.
            raise QueryError("APPLY is not allowed.", ACCESS_DENIED)
        elif node.kind == "TableIdentifier" or (node.kind == "Identifier" and _is_table_after_in(path)):
            self._check_table(node.text, database)

    def _check_table(self, name: str, database: str) -> None:
        schema, _, table = name.rpartition(".")
        if not schema:
            schema = database
        if schema.startswith("system.") or schema == "system":
            table = name.split(".")[1] if name.startswith("system.") else table
            is_open = table in _SYSTEM_TABLES
        else:
            is_open = schema == self._marts or schema in _OPEN_DATABASES
        if not is_open or table.endswith(STAGING_SUFFIX):
            raise QueryError(f"Not allowed to read table {name}.", ACCESS_DENIED)

    def _check_function(self, text: str, *, is_table: bool) -> None:
        name = text.lower()
        if not _FUNCTION_NAME.match(name):
            raise QueryError(f"Function {text} is not allowed.", ACCESS_DENIED)
        if is_table and name not in _TABLE_FUNCTIONS:
            raise QueryError(f"Table function {text} is not allowed.", ACCESS_DENIED)
        if not is_table and (
            name in _REFUSED_FUNCTIONS or name.startswith(_REFUSED_PREFIXES) or name in self._only_table_functions()
        ):
            raise QueryError(f"Function {text} is not allowed.", ACCESS_DENIED)

    def _only_table_functions(self) -> frozenset[str]:
        if self._table_functions is None:
            self._table_functions = frozenset(self._ask(_TABLE_FUNCTIONS_ONLY, {}).split()) - _TABLE_FUNCTIONS
        return self._table_functions
