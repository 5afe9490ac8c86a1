"""What things cost, measured side by side: `make bench`. Not tests: a shared machine would make them fail at random."""
