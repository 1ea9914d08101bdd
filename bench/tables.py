"""Tables of results, for people or for a Markdown page."""
import pathlib


def print_table(table, markdown):
    """`table`: rows of texts, the headings first."""
    if markdown:
        for cells in [table[0], ["---"] * len(table[0]), *table[1:]]:
            print("| " + " | ".join(cells) + " |")
        print()  # what follows is no row
        return
    widths = [max(map(len, column)) for column in zip(*table)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def print_peers(descriptions, markdown):
    """{peer: which build of it was measured}, below a table."""
    for peer, description in descriptions.items():
        print(f"- **{peer}**: {description}" if markdown else f"{peer}: {description}")


def write_section(page, name, text):
    """Replaces what stands in a Markdown page between <!-- NAME begin --> and <!-- NAME end -->."""
    begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->"
    page = pathlib.Path(page)
    before, found, rest = page.read_text().partition(begin)
    if not found or end not in rest:
        raise RuntimeError(f"{page} has no section {begin.strip()}")
    page.write_text(before + begin + text.strip("\n") + "\n" + end + rest.split(end, 1)[1])
