"""The data doctor: what is wrong with labelled pictures, from pixels, features and probabilities handed to it."""
