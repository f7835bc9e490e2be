"""What is made of the samples of a run: tables, charts, and the figures in the manual."""
