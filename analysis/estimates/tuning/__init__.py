"""Results of tuning a key such as the learning rate: its best value at every size and length, and its law."""
