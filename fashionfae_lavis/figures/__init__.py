"""The published figures: results.yml, the tables generated from it, and the commands that reproduce them."""
