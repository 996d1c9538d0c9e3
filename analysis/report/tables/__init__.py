"""The tables of a report: as text, for a page, Markdown, LaTeX and CSV."""
