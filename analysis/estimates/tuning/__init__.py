"""What tries of a key such as the learning rate say: its best value at every size and length, and its law."""
