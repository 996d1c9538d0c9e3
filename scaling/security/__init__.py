"""Security: code that configs may name, and files that only the user may write."""
