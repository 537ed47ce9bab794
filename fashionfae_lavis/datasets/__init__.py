"""Data sets, laid out as in LAVIS: builders, data sets, and the embedded FashionGen-Mini."""
