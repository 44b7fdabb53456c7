"""Run one attack on many images, keep what is finished, score it on fresh noise."""
