"""A sweep in one archive for publication, without the names of people, machines and folders."""
