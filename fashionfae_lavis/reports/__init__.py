"""What a person looks at when a run has ended."""
