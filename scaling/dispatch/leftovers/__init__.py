"""Files of a sweep that are no longer needed: finding and removing them."""
