"""Tables of results, for people or for a Markdown page."""


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
