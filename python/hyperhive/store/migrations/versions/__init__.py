"""One module a version of the schema; none is changed after a release."""
