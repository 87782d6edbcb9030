"""What heads see of clips: readers, statistics over time, metadata, batches."""
