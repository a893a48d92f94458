"""How the console starts on one machine: `make run`.

It stands in `console` because it ships with it and is tested like it; what only the gate needs stands in `.ci/`.
`environment` runs first, on whatever Python there is, and makes .venv; the rest runs inside it.
"""
