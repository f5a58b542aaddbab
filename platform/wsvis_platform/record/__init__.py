"""MLflow: runs, curves, pictures, the database."""
