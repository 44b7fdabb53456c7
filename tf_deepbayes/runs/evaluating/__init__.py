"""What an evaluation of a run is given and what it keeps."""
