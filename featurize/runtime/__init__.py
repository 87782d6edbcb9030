"""Networks at work: the extractor's graph, TensorFlow or OpenVINO, full batches."""
