"""Runs `python -m fashionfae_lavis.schema`."""

from fashionfae_lavis.schema.reference import main

if __name__ == "__main__":
    main()
