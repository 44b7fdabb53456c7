"""The commands: flags, objects made from them, one call of the library, printed output."""
