"""The doors to the outside: one sink per destination, nothing else of the shop opens such a connection.

Owns how a message leaves; never decides when, how often, or in which order (`commerce.outbox.dispatcher`).
"""
