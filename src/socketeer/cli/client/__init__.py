"""``socketeer client URL``: talk to a Socket.IO server, by hand at a prompt or from a script.

What happens on a connection becomes a record (``happenings``), which is shown to people (``paint``) or to programs
(``json_lines``). ``session`` connects and sends; ``interactive`` and ``script`` drive it.
"""
