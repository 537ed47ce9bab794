"""The published figures: results.yml, the tables made from it, and the commands that measure them again."""
