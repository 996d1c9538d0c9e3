"""Private names of other libraries, one file for each: check them when one is upgraded."""
