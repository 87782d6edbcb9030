"""Video to frames to pretrained backbone to feature store."""
