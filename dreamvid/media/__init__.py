"""Pictures and clips in and out of files; NumPy only, so that nothing here waits for JAX."""
