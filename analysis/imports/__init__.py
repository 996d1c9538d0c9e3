"""Import runs trained elsewhere: read a table or an export, check it, and write it as a sweep."""
