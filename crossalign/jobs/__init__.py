"""Runs that the dashboard starts: each is the command line in a process of its own, which outlives page and server.

`request` says what may be asked for and turns it into arguments, `process` starts and ends the process, `record` reads
what lies in the job's folder, `progress` reads its log. Nothing here imports a library that computes.
"""
