"""Mutation testing of the files that decide: `make mutate`."""
