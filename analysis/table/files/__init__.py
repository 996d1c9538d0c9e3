"""Files of tables, in the forms that people save them: text, JSON, spreadsheets, Parquet, packed or not."""
