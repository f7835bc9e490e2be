"""Compare the cost of this server with Node's socket.io and python-socketio, in one run.

``python -m bench`` starts each server as a process of its own, loads it from a second process that speaks the
wire protocol itself, and reads what the server's process used from ``/proc``.
"""
