"""The load: one process that speaks Engine.IO 4 and Socket.IO 5 in precomputed bytes.

No Socket.IO client library takes part, so that the process spends as little as it can and keeps the server busy.
"""
