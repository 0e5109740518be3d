"""The tables of cases behind tools/golden.py, one module per file it writes."""
