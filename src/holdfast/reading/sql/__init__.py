"""Everything saved as tables of DuckDB: where it lies in columns, and taken in where it stands as lines."""
