"""What the labels mean and what was decided: codebook, annotated rows, splits, agreement, corrections. Never imports torch."""
