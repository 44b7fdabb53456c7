"""What a run folder says about the processes that use it: who writes now, and what is finished."""
