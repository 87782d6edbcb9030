"""From what a detector's network says of a frame to boxes, and from those of a clip's frames to what is believed."""
