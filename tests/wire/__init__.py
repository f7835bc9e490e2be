"""The protocols byte by byte, over real connections."""
