"""Whether the tests notice when a formula is changed: `make mutants`. Not tests: it takes up to an hour."""
