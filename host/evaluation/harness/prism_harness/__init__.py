"""The evaluation harness: a trusted scorer, and untrusted processes that run a miner's project.

README.md beside this package describes the processes and the protocol.
"""
