"""What the columns, words and numbers of other people's tables mean."""
