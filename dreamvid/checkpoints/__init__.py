"""Files of networks: one reader a format, and the store that finds and loads them."""
