"""What an attack on a run is given: its options, its workers, its detector or guides."""
