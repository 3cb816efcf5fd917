"""Training a network to dream with, on a folder of pictures."""
