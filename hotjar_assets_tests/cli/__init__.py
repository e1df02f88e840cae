"""The command line: as a program, in this process, and fed with what can go wrong."""
