"""Preparation of real data: the commands `fashionfae prepare ...`, which need neither torch nor LAVIS."""
