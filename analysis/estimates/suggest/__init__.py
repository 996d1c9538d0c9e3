"""What to run next: the candidates that narrow an interval most for their cost."""
