"""Programs for developers and for those who check our numbers."""
