"""Crowds of client sockets in one process, for ``python -m bench clients``: one program for each library."""
