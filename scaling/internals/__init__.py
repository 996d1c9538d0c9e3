"""Private names of other libraries, one file a library: to be checked when one of them is upgraded."""
