"""Command-line programs, which only parse arguments, call the library and print."""
