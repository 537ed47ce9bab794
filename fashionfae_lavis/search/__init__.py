"""Use of a trained model on a shop's products: embedding, search, labelling and serving."""
