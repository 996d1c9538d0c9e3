"""Preparing images: from the files as they are distributed to the arrays that training reads."""
