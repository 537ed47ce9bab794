"""Runs `python -m fashionfae_lavis.figures`."""

from fashionfae_lavis.figures.tables import main

if __name__ == "__main__":
    main()
