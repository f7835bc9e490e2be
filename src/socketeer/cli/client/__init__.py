"""``socketeer client URL``: talk to a Socket.IO server, by hand at a prompt or from a script.

What happens on a connection becomes a record (``happenings``), which is a line of JSON for programs, and is painted for
people (``paint``). ``session`` connects and sends; ``interactive`` and ``script`` drive it.
"""
