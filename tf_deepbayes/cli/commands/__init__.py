"""The commands: flags, objects made from them, one call of the library, what is printed."""
