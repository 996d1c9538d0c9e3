"""What a sweep leaves behind that nothing needs any more: finding it, removing it."""
