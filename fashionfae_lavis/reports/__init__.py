"""Tables and pictures of results; the functions take plain figures and images."""
