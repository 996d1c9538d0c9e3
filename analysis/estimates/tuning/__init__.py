"""Results of tuning a key such as the learning rate: its optimum at each N and D, and its law."""
