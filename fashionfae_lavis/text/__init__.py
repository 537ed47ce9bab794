"""What a product's text is: its words, its prompts, its word pieces."""
