"""Commands on features of a frozen network, and the flags that they share."""
