"""`python -m experiments` with the toy systems beside the real ones."""

import toy_systems  # noqa: F401

from experiments.__main__ import main

main()
