"""What a camera's place looks like without animals, learned from the camera's other clips."""
