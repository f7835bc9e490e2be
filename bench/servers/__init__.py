"""The Python servers under comparison: one small file each, all with the same events."""
