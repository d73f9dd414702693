"""What exists: thin Dagster assets and checks over the libraries. Logic belongs in the libraries."""
