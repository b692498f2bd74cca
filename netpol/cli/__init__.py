"""The command line: takes words, wires the stages, prints what they yield. One file a command."""
