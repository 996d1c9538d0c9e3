"""Private names of other libraries, one file a library: what to look at when one of them is upgraded."""
