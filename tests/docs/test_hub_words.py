"""The page "What a hub says, and what clinder does" is the table in the code.

To write its table anew: ``python -m tests.docs.test_hub_words``.
"""

from pathlib import Path

from clinder.launch.verdict import NO_ANSWER, NOT_OPENED, ROWS, UNUSABLE, Row

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "what-a-hub-says.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->"


def limits(row: Row) -> str:
    """Say in words what a row's limit is."""
    limit, words = row.limit, []
    if limit.in_all < 1000:
        words.append(f"at most {limit.in_all} times in total")
    if limit.here < 1000:
        words.append(f"at most {limit.here} times on one hub")
    if limit.patience < 1000:
        words.append(f"for {limit.patience:.0f} s, then as a fault of the hub")
    return f"{row.fault}, {', '.join(words)}" if words else row.fault


def table() -> str:
    """Return the table as Markdown."""
    rows = [
        f"| {row.seen.replace('|', '/')} | {limits(row)} | {row.hint.replace('{proxy}', 'PROXY (from VARIABLE)')} |"
        for row in (*ROWS, UNUSABLE, NO_ANSWER, NOT_OPENED)
    ]
    return "\n".join(["", "| what the hub says | fault | what to do |", "|---|---|---|", *rows, "", ""])


def test_the_page_has_the_table_of_the_code() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
