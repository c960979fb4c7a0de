"""Datasets, from official files to labelled splits. Run `python -m data --help` for the commands.

`catalog` lists the datasets. `official` downloads and verifies their files; `formats` reads these; `prepared` turns
them into arrays and reads them back; `labelled` cuts parts and draws labelled subsets; `remote` copies the results to
other machines. `scenes` draws the images of the dataset `shapes`. `stages` has the three steps in their order.
"""
