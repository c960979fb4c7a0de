"""Tables and text as CSV, Markdown, LaTeX and HTML."""
