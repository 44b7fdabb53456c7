"""Names of run folders: what they say, and how a classifier named by a user is found."""
