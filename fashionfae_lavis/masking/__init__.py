"""What is hidden from the model in pre-training: words of a text, patches of an image. Pure and seeded."""
