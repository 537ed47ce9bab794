"""The text of a product: its words, its attribute prompts and their word pieces."""
