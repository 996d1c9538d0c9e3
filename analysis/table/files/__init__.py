"""Read table files: text, JSON, spreadsheets and Parquet, compressed or not."""
