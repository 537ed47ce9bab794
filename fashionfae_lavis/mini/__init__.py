"""The drawn datasets FashionGen-Mini and FashionIQ-Mini, and the program that trains the shipped encoders."""
