"""An evaluation taken apart, as a picture and as a page."""
