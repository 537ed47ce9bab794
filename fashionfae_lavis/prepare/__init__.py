"""Preparation of real data by the commands `fashionfae prepare ...`, which need neither torch nor LAVIS."""
