"""What the speed probe times, and with which clock."""
