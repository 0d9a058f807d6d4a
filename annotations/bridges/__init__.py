"""Rows to and from other tools: one module for each format, with `read(path, codebook)` and `write(path, rows, codebook)`.

`records` reads and writes their files, `parts` takes rows apart and joins them again where a tool shows one target or one
question at a time. What a format cannot hold stands at the head of its module.
"""
