"""How a seller brings its real orders in; docs/import.md is the promise.

A file is read twice in effect: a first pass reads and checks every row into a spool on disk (`reading`, `rows`,
`spool`, `checking`), a second one stores what the spool holds in short transactions (`running`).
"""
