"""The drawn datasets FashionGen-Mini and FashionIQ-Mini, and the training of the packaged encoders."""
