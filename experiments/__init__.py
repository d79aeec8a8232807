"""Scripts: train, evaluate, compare. `python -m experiments` lists them."""
