"""The seeded mobile world: its records for the demo, tests and benches, and the truth about them."""
