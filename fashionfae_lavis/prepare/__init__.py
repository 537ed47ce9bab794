"""Real data in: what the commands `fashionfae prepare ...` do. Neither torch nor LAVIS is needed here."""
