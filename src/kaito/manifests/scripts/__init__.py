"""Programs that run inside the pods we render, each a file that can be read and tested alone."""
